"""All settings in one place, read from `LAUNCHPIN_*` and from files for secrets. Built only by bootstrap.

A secret is never a variable's value: the variable names a file that only its owner may read.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from gitops.config.durations import parse_duration


def _read_duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_read_duration)]
_PUBLIC_KEY = "audit.pub"
_MEMORY_PERCENT = 80  # of the machine's, so that a training that eats memory ends before the machine does


class Settings(BaseSettings):
    """One installation's settings.

    The reference is made of these lines (`make docs`); a word in brackets is a link there.

    Args:
        home: folder of state: database, mirrors, environments, models, logs.
        instance: names this installation in its audit log; read once, when the database is made.
        database_url: the database, SQLite in the home folder where not set: `sqlite:////absolute/file` or
            `postgresql://user@host:port/name`, without a password. `launchpin up` remembers it; see [Use PostgreSQL].
        database_password_file: the password of the database's user, where the server wants one; read again for each
            connection.
        redis_url_file: the broker's URL, password included.
        base_url: where people reach the dashboard; the web process answers to this host alone.
        forge_api: base of the forge's REST API.
        forge_token_file: the forge's token.
        forge_login: our own login there.
        hook_secret_files: the webhook secrets, the newest first; two are valid while one replaces the other. Web and
            workers do not start without.
        hook_path: the unguessable part of the webhook's path.
        hook_base: where the forge reaches us, `LAUNCHPIN_BASE_URL` where not set.
        tracking_uri: the MLflow server.
        tracking_uris: further MLflow servers that pins may name.
        endpoint_host: base URL of the endpoint host.
        endpoint_token_file: its management token.
        audit_key_file: the audit log's signing key, made where it is missing; read by the relay alone.
        oidc_issuer: an OpenID Connect provider that [people may sign in at], exactly as its tokens name it.
        oidc_client_id: what it calls this installation.
        oidc_client_secret_file: the secret that it gave.
        oidc_scopes: what is asked for, with spaces between.
        oidc_label: what people call it, its host where not set.
        github_oauth_client_id: the id of an OAuth app at GitHub, where people may sign in there.
        github_oauth_client_secret_file: that app's secret.
        github_oauth_url: GitHub, or an Enterprise Server.
        secrets_dir: one file for each secret that may be granted to trainings; the file's name is the variable's.
        notify_file: a [notify.yaml], which says who is told of what; read anew for each message. In the embedded stack
            that of its folder, where there is one when it starts.
        forge_writes_minute: how many writes a process may send to the forge in a minute; GitHub allows 80.
        forge_writes_hour: likewise in an hour; GitHub allows 500.
        poll: how often branches of model repositories are looked at without a webhook.
        compare: how often pins and endpoints are compared.
        anchor: how often a new audit head is written to the deploy repositories.
        checkpoint: how often a new audit head is signed when there are new entries.
        log: the form of the [logs]: `json`, one record a line, or `text` for a person at a terminal.
        metrics_token_file: the token that `/metrics` wants; without it nobody gets [metrics].
        metrics_port: where a worker or the relay serves its metrics, 0 for nowhere; the web process has them on its own
            port. `launchpin up` counts on from it for each part.
        metrics_host: the address of that port.
        lease: how long a job stays with a worker that is not heard of any more; a worker says that it is there six
            times as often.
        drain: how long the steps under way may go on when a worker is asked to stop; the process is gone 5 s later at
            the latest.
        gc: how often what nobody needs is removed; [what goes, and what never does].
        keep_bodies: how long the raw body of a delivery is kept after it was handled; its row, digest and outcome stay.
        keep_rows: how long jobs and effects are kept after they are over.
        keep_logs: how long a training's log is kept.
        keep_environments: how long a Python environment that nobody needs is kept since it was last used.
        keep_environments_size: bytes of all environments above which those unused longest go, 0 for no limit.
        keep_models: how long files of a version that nobody needs are kept on this machine; the registry keeps its own.
        keep_mirrors: how long the mirror of a repository that is not connected is kept.
        keep_configurations: how many of an endpoint's configurations that served last are kept in any case.
        keep_configurations_age: how long the others are kept since they last served.
        least_free: bytes of the disk that must be free before a training, an environment or a download begins, 0 for
            none.
        training_slots: how many trainings, or trials of searches, a training worker runs at a time.
        training_memory: bytes over a training's tree of processes, 0 for no limit; 80% of the machine's memory, divided
            by `LAUNCHPIN_TRAINING_SLOTS`, where not set.
        training_tasks: processes and threads of a training, 0 for no limit.
    """

    model_config = SettingsConfigDict(env_prefix="LAUNCHPIN_", frozen=True, extra="ignore")

    home: Path = Field(default=Path(".launchpin-stack"), validation_alias=AliasChoices("LAUNCHPIN_HOME", "home"))
    instance: str = "launchpin.local"
    database_url: str = ""
    database_password_file: Path | None = None
    redis_url_file: Path | None = None
    base_url: str = "http://127.0.0.1:8080"
    forge_api: str = "https://api.github.com"
    forge_token_file: Path | None = None
    forge_login: str = "launchpin[bot]"
    hook_secret_files: tuple[Path, ...] = ()
    hook_path: str = ""
    hook_base: str = ""
    tracking_uri: str = "http://127.0.0.1:5000"
    tracking_uris: tuple[str, ...] = ()
    endpoint_host: str = "http://127.0.0.1:8090"
    endpoint_token_file: Path | None = None
    audit_key_file: Path | None = None
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret_file: Path | None = None
    oidc_scopes: str = "openid profile email"
    oidc_label: str = ""
    github_oauth_client_id: str = ""
    github_oauth_client_secret_file: Path | None = None
    github_oauth_url: str = "https://github.com"
    secrets_dir: Path | None = None
    notify_file: Path | None = None
    forge_writes_minute: int = 60
    forge_writes_hour: int = 400
    poll: Duration = timedelta(seconds=180)
    compare: Duration = timedelta(seconds=60)
    anchor: Duration = timedelta(seconds=60)
    checkpoint: Duration = timedelta(seconds=60)
    log: Literal["json", "text"] = "json"
    metrics_token_file: Path | None = None
    metrics_port: int = Field(default=0, ge=0, le=65535)
    metrics_host: str = "127.0.0.1"
    lease: Duration = timedelta(seconds=60)
    drain: Duration = timedelta(seconds=20)
    gc: Duration = timedelta(hours=24)
    keep_bodies: Duration = timedelta(days=30)
    keep_rows: Duration = timedelta(days=30)
    keep_logs: Duration = timedelta(days=90)
    keep_environments: Duration = timedelta(days=30)
    keep_environments_size: int = Field(default=20 * 1024**3, ge=0)
    keep_models: Duration = timedelta(days=30)
    keep_mirrors: Duration = timedelta(days=7)
    keep_configurations: int = Field(default=3, ge=3)
    keep_configurations_age: Duration = Field(default=timedelta(days=7), ge=timedelta(days=7))
    least_free: int = Field(default=2 * 1024**3, ge=0)
    training_slots: int = Field(default=1, ge=1, le=64)
    training_memory: int | None = Field(default=None, ge=0)
    training_tasks: int = 2048

    @property
    def database(self) -> str:
        """The database's URL, SQLite in `home` unless another was set."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'launchpin.sqlite3'}"

    @property
    def public_key_files(self) -> tuple[Path, ...]:
        """Where the audit log's public key may lie: beside the signing key, which few processes have, or at home."""
        beside = () if self.audit_key_file is None else (self.audit_key_file.with_suffix(".pub"),)
        return (*beside, self.home / "secrets" / _PUBLIC_KEY, self.home / _PUBLIC_KEY)

    @property
    def training_memory_limit(self) -> int:
        """Bytes that a training may use on this machine, 0 for no limit: its slot's share where none was set."""
        if self.training_memory is not None:
            return self.training_memory
        import psutil  # noqa: PLC0415 - for workers alone

        return psutil.virtual_memory().total * _MEMORY_PERCENT // 100 // self.training_slots

    @property
    def web_hosts(self) -> frozenset[str]:
        """The values of the Host header that the web process answers to; loopback has several names."""
        host = urlsplit(self.base_url).netloc.lower()
        port = host.rsplit(":", 1)[-1]
        loopback = {f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"}
        extra = {urlsplit(self.hook_base).netloc.lower()} - {""}
        return frozenset(loopback | extra if host in loopback else {host} | extra)

    @property
    def issuers(self) -> tuple[str, ...]:
        """Who vouches for people that sign in here, as they name themselves; none where nothing was set of any."""
        is_github = bool(self.github_oauth_client_id or self.github_oauth_client_secret_file)
        return tuple(filter(None, (self.github_oauth_url.rstrip("/") if is_github else "", self.oidc_issuer)))

    @property
    def allowed_tracking_uris(self) -> tuple[str, ...]:
        """Every tracking server that a pin may name."""
        return (self.tracking_uri, *self.tracking_uris)
