"""What a tracking server wants to know of who asks, found where MLflow's client finds it, and without that client.

The variables are those of `mlflow.utils.credentials`: a name and password, also in `~/.mlflow/credentials`, or a token,
and certificates. `MLFLOW_TRACKING_AWS_SIGV4` and the plugins of `MLFLOW_TRACKING_AUTH` are the client's own.
"""

import base64
import configparser
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from gitops.errors import StalledError

NAMES = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_TRUE = frozenset({"true", "1"})


@dataclass(frozen=True)
class Credentials:
    """Who asks, and whom they trust.

    Args:
        authorization: the header's value, empty for none.
        authority: a file or folder of certificates that vouch for the server, in place of the usual ones.
        certificate: a file with who asks and their key, empty for none.
        is_blind: whether any certificate of the server will do.
    """

    authorization: str = ""
    authority: str = ""
    certificate: str = ""
    is_blind: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """What a request says of who asks."""
        return {"Authorization": self.authorization} if self.authorization else {}

    def open_tls(self) -> ssl.SSLContext | bool:
        """Return how the server is known to be the right one.

        Raises:
            StalledError: `RegistryForbidden`, a file is named that cannot be used.
        """
        if not (self.authority or self.certificate):
            return not self.is_blind
        named = "MLFLOW_TRACKING_SERVER_CERT_PATH"
        try:
            context = (
                _trusting(self.authority) if self.authority else httpx.create_ssl_context(verify=not self.is_blind)
            )
            named = "MLFLOW_TRACKING_CLIENT_CERT_PATH"
            if self.certificate:
                context.load_cert_chain(self.certificate)
        except (OSError, ValueError) as error:
            message = f"{named} names a file that cannot be used ({type(error).__name__})"
            raise StalledError("RegistryForbidden", message) from error
        return context


def _trusting(authority: str) -> ssl.SSLContext:
    is_folder = Path(authority).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else authority, capath=authority if is_folder else None)


def find_credentials(environ: Mapping[str, str], home: Path) -> Credentials:
    """Return what MLflow's client would use.

    Args:
        home: the folder that holds `.mlflow/credentials`.

    Raises:
        StalledError: `RegistryForbidden`, that file cannot be read.
    """
    kept = _read_file(home / ".mlflow" / "credentials")
    name, password = (
        environ.get(f"MLFLOW_TRACKING_{part}") or kept.get(f"mlflow_tracking_{part.lower()}", "")
        for part in ("USERNAME", "PASSWORD")
    )
    token = environ.get("MLFLOW_TRACKING_TOKEN", "")
    authorization = f"Bearer {token}" if token else ""
    if name and password:
        authorization = f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"
    return Credentials(
        authorization,
        environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH", ""),
        environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH", ""),
        environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in _TRUE,
    )


def _read_file(file: Path) -> Mapping[str, str]:
    parser = configparser.ConfigParser()
    try:
        parser.read(file, encoding="utf-8")
        return dict(parser["mlflow"]) if parser.has_section("mlflow") else {}
    except (configparser.Error, OSError, UnicodeError) as error:
        # What is wrong is not told: it would show what the file holds.
        message = f"{file} cannot be read as MLflow's credentials ({type(error).__name__})"
        raise StalledError("RegistryForbidden", message) from error
