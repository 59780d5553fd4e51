"""`launchpin train --local`: a person's folder, uncommitted changes too, through the steps of a training to a verdict.

It writes into one folder beside the files, and nowhere else: nothing is registered, proposed or pinned.
"""

import hashlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gitops.cli.asking import opened
from gitops.cli.git import ask_git, current_branch, top_of
from gitops.cli.show import Console
from gitops.cli.tried import Tried, show_tried
from gitops.cli.validate import check_path
from gitops.config.files import find_one
from gitops.config.launchpin import LaunchpinFile, parse_launchpin
from gitops.disk.locks import alone
from gitops.errors import InputError, NotFoundError, RefusedError, RetryError
from gitops.identifiers import new_id
from gitops.logins import this_user
from gitops.private_files import write_private
from gitops.records import Cause, Repository, Role, Training, Version
from gitops.telling.logs import Tail
from gitops.trainers.redaction import show_controls
from gitops.trials import Trial

if TYPE_CHECKING:
    from gitops.embedded.tracking import TrackingServer
    from gitops.ports import Deps
    from gitops.rehearsal import KnownRows

FOLDER = ".launchpin-local"
_TICK = 0.1
# A stack removes environments that it does not know to be in use: one that is looked for stays for an hour.
_KEPT_FOR = 600.0


@dataclass(frozen=True)
class _Given:
    """What is tried.

    Args:
        folder: where launchpin.yaml lies, as the person named it.
        top: the clone's top folder.
        path: launchpin.yaml's, in the clone.
    """

    folder: Path
    top: Path
    path: str
    content: bytes
    file: LaunchpinFile

    @property
    def home(self) -> Path:
        """Where everything of a try goes."""
        return self.folder / FOLDER


@dataclass(frozen=True)
class _Known:
    """What a stack on this machine knows, if there is one.

    Args:
        champion: the version to beat.
        words: where it comes from, or why there is none.
        environments: the folder of built environments.
    """

    champion: Version | None
    words: str
    environments: Path


def train_here(folder: Path, *, config: str, stack_dir: Path, as_json: bool) -> int:
    """Train and judge a folder, show what came of it, and return the exit code.

    Args:
        config: the launchpin.yaml to follow, relative to the folder; the folder's own where empty.
    """
    given = _read(folder, config)
    secrets = _secrets(given.file)
    known = _ask_stack(stack_dir, given)
    console = Console(sys.stderr if as_json else sys.stdout)
    with _alone_in(given.home):
        try:
            tried = _try(given, known, secrets, console)
        except KeyboardInterrupt:
            console.rest()
            console.say("stopped: nothing of it runs any more, and nothing was registered")
            raise
    return show_tried(tried, as_json=as_json)


def _read(folder: Path, config: str) -> _Given:
    """Find and read the files as the service will, all of them before anything begins.

    Raises:
        InputError: with file, line and field, or `no_repository`.
        NotFoundError: `ConfigMissing`.
    """
    name = config or find_one(os.listdir(folder), "launchpin") or ""  # noqa: PTH208 - names are what is asked for
    path = folder / name
    if not name or not path.is_file():
        message = (
            f"there is no {config or 'launchpin.yaml'} in {folder}: name its folder, or let `launchpin init` write it"
        )
        raise NotFoundError("ConfigMissing", message)
    top = top_of(folder)
    if top is None:
        message = f"{folder} is in no Git repository, so nobody can tell what a push would hold: `git init` it first"
        raise InputError("no_repository", message)
    if path.is_symlink() or not (place := path.parent.resolve() / path.name).is_relative_to(top.resolve()):
        raise InputError("symlink_config", f"{path} is or is behind a link: put the file itself there")
    _require_right(path)
    content = path.read_bytes()
    file = parse_launchpin(content, file=str(path))
    _require_right(path.parent / file.train.project / "MLproject")
    return _Given(path.parent, top, place.relative_to(top.resolve()).as_posix(), content, file)


def _require_right(path: Path) -> None:
    for finding in check_path(path):
        if finding.error is not None:
            raise finding.error


def _secrets(file: LaunchpinFile) -> dict[str, str]:
    """Return what `train.secrets` names, from the person's own variables."""
    for name in file.train.secrets:
        if name not in os.environ:
            message = f"{name} is not set here: export it for this try; a push gets what the service granted"
            raise InputError("secret_missing", message, file=file.file, field="train.secrets")
    return {name: os.environ[name] for name in file.train.secrets}


def _ask_stack(stack_dir: Path, given: _Given) -> _Known:
    model = given.file.model
    try:
        with opened(stack_dir) as (layout, store):
            champion = store.champion(model)
            environments = layout.dir / "environments"
    except NotFoundError:
        words = f"no champion is known: there is no stack in {stack_dir} (--dir names one)"
        return _Known(None, words, given.home / "environments")
    if champion is None:
        words = f"no champion is known: the stack in {stack_dir} serves no version of {model} that it judged"
        return _Known(None, words, environments)
    return _Known(champion, f"champion v{champion.version} of the stack in {stack_dir}", environments)


@contextmanager
def _alone_in(home: Path) -> Iterator[None]:
    """Make the folder of all tries, which Git ignores, and let one try at a time into it.

    Raises:
        InputError: `home_unusable`.
        RetryError: `TryUnderWay`.
    """
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        link = next((one for one in (home, *home.iterdir()) if one.is_symlink()), None)
        if link is not None:
            message = f"{link} is a link: what it leads to is neither written nor removed; take the link away"
            raise InputError("home_unusable", message)
        write_private(home / ".gitignore", "*\n")
    except OSError as error:
        message = f"{home} cannot be used: {error.strerror}; it must be a folder that you may write to"
        raise InputError("home_unusable", message) from error
    with alone(home / "lock") as is_ours:
        if not is_ours:
            raise RetryError("TryUnderWay", f"another try is under way in {home}: let it end first")
        yield


def _try(given: _Given, known: _Known, secrets: Mapping[str, str], console: Console) -> Tried:
    from gitops.embedded.tracking import tracking_server  # noqa: PLC0415 - for a try alone
    from gitops.rehearsal import KnownRows, rehearse  # noqa: PLC0415

    home, training = given.home.absolute(), _training(given)
    changes = len(ask_git(given.top, "status", "--porcelain", "--untracked-files=all").splitlines())
    shutil.rmtree(home / "workspace", ignore_errors=True)
    snapshot = home / "workspace" / "snapshot"
    show = _Progress(console, home / "logs" / f"{training.id}-1.log")
    console.say(show_controls(_headline(given, training, changes)))
    begun = time.monotonic()
    try:
        _copy(given, snapshot)
        with show, tracking_server(home / "mlflow") as server:
            show.begin("start")
            rows = KnownRows(_clone(given), lambda _: known.champion)
            deps = _deps(given, known, secrets, snapshot=snapshot, server=server, live=show, rows=rows)
            rehearsed = rehearse(
                deps, training, rows=rows, before=_before(show, server, deps), trying=_trying(show, home)
            )
    finally:
        shutil.rmtree(home / "workspace", ignore_errors=True)
    return Tried(
        rehearsed=rehearsed,
        champion=known.champion,
        champion_words=known.words,
        has_versus=any(gate.operator.value == "versus" for gate in given.file.register.all_gates),
        changes=changes,
        home=given.home,
        log=_log_of(given.home, rehearsed.training, show.log),
        seconds={**show.seconds, "all": time.monotonic() - begun},
    )


def _log_of(home: Path, training: Training, last: Path) -> Path | None:
    """Return the log to look at: the chosen trial's, else the last one, as the person named the folder."""
    chosen = f"{Trial.id_of(training.id, training.facts.trial)}-1.log" if training.facts.trial else last.name
    log = home / "logs" / chosen
    return log if log.exists() else None


def _copy(given: _Given, snapshot: Path) -> None:
    """Write what would be pushed into a folder; what a checkout would refuse is wrong with the person's files here."""
    from gitops.forge.working_tree import copy_working_tree  # noqa: PLC0415 - for a try alone

    try:
        copy_working_tree(given.top, snapshot)
    except RefusedError as error:
        raise InputError(error.reason, error.message) from error
    for name in (given.path, str(Path(given.path).parent / given.file.train.project / "MLproject")):
        if not (snapshot / name).is_file():
            raise InputError("ConfigMissing", "Git ignores it, so that no push would hold it", file=name)


def _training(given: _Given) -> Training:
    """Return the training that a push of these files would be, as far as it can be told before there is a commit."""
    return Training(
        id=new_id("try"),
        cause=Cause(kind="local", actor=this_user(), method="folder"),
        repository_id=0,
        repository=given.top.name,
        ref=f"refs/heads/{current_branch(given.top)}",
        commit=ask_git(given.top, "rev-parse", "--verify", "--quiet", "HEAD") or "uncommitted",
        config_path=given.path,
        config_sha256=hashlib.sha256(given.content).hexdigest(),
        model=given.file.model,
    )


def _headline(given: _Given, training: Training, changes: int) -> str:
    state = f"{changes} uncommitted changes" if changes != 1 else "1 uncommitted change"
    return f"{given.file.model} of {given.path} at {training.commit[:8]} with {state}; nothing will be registered"


def _deps(
    given: _Given,
    known: _Known,
    secrets: Mapping[str, str],
    *,
    snapshot: Path,
    server: "TrackingServer",
    live: "_Progress",
    rows: "KnownRows",
) -> "Deps":
    from gitops.bootstrap_rehearsal import for_rehearsal  # noqa: PLC0415 - for a try alone
    from gitops.embedded.stack.environment import plain_environment  # noqa: PLC0415
    from gitops.settings import Settings  # noqa: PLC0415

    # Nobody's proxy stands between this process and the server of the try.
    os.environ.update({name: text for name, text in plain_environment().items() if name.lower() == "no_proxy"})
    return for_rehearsal(
        Settings.model_validate({"home": str(given.home.absolute()), "tracking_uri": server.uri}),
        environments=known.environments,
        snapshot=snapshot,
        rows=rows,
        secrets=secrets,
        lease=live,
    )


def _clone(given: _Given) -> Repository:
    return Repository(id=0, full_name=given.top.name, role=Role.MODEL, clone_url="", secrets=given.file.train.secrets)


def _trying(show: "_Progress", home: Path) -> Callable[[Trial, int], None]:
    """Return what happens before each trial: it is shown, and its log is followed."""

    def trying(trial: Trial, total: int) -> None:
        point = ", ".join(f"{name} {value}" for name, value in trial.parameters.items())
        show.follow(home / "logs" / f"{trial.id}-1.log", f"trial {trial.number} of {total}: {point}")

    return trying


def _before(show: "_Progress", server: "TrackingServer", deps: "Deps") -> Callable[[str, Training], None]:
    """Return what happens before each step: it is shown, and what the script needs is there."""

    def before(step: str, training: Training) -> None:
        if step in {"search", "train"}:
            server.wait_ready()
            key = training.facts.environment_key or ""
            show.keep = lambda: deps.environments.find(key)
        show.begin(step)

    return before


_STEPS = {
    "start": "starting an MLflow server of its own",
    "environment": "locking the environment, and building it where it is not built yet",
    "search": "searching",
    "train": "training",
    "judge": "judging",
}


class _Progress:
    """What a person sees of a try as it goes; in the place of a lease, since a trainer looks at that all the time.

    Args:
        log: the script's, shown as it grows.
    """

    lost = 0

    def __init__(self, console: Console, log: Path) -> None:
        self.log = log
        self.seconds: dict[str, float] = {}
        self.keep: Callable[[], object] = lambda: None
        self._console = console
        self._tail: Tail | None = None
        self._step = ""
        self._since = self._kept = time.monotonic()
        self._is_over = threading.Event()
        self._ticking = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._ticking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.begin("")
        self._is_over.set()
        self._ticking.join()
        self._console.rest()
        if self._tail is not None:
            self._tail.close()

    def begin(self, step: str) -> None:
        """Show that a step begins, and count the time of the one before; one that goes on is shown already."""
        if step and step == self._step:
            return
        self._print(is_last=True)
        now = time.monotonic()
        if self._step:
            self.seconds[self._step] = now - self._since
        self._step, self._since = step, now
        self._console.rest()
        if step and not self._console.is_terminal:
            self._console.say(_STEPS.get(step, step))

    def follow(self, log: Path, words: str) -> None:
        """Show that another script begins, and what it prints from now on."""
        self._print(is_last=True)
        if self._tail is not None:
            self._tail.close()
        self.log, self._tail = log, None
        self._console.rest()
        self._console.say(show_controls(words))

    def is_held(self) -> bool:
        """Show what the script printed, and go on."""
        self._print()
        if time.monotonic() - self._kept > _KEPT_FOR:
            self._kept = time.monotonic()
            self.keep()
        return True

    def is_stopping(self) -> bool:
        """Return False: nobody asks for it."""
        return False

    def _print(self, *, is_last: bool = False) -> None:
        if self._tail is None:
            with suppress(FileNotFoundError):
                self._tail = Tail(self.log, say=self._console.say)
        if self._tail is not None:
            self._tail.print(is_last=is_last)

    def _tick(self) -> None:
        while not self._is_over.wait(_TICK):
            if step := self._step:
                self._console.move(_STEPS.get(step, step))
