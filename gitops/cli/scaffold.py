"""The repositories that `launchpin init` writes from our templates. Checks what it makes before anything is written."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from gitops.buildspec import read_pin
from gitops.config.endpoint import parse_endpoint
from gitops.config.launchpin import parse_launchpin
from gitops.config.mlproject import parse_mlproject
from gitops.config.names import BadNameError, check_model, check_repository
from gitops.config.notify import parse_notify
from gitops.config.text import show
from gitops.errors import InputError

PLAIN_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UNFIT = re.compile(r"[^A-Za-z0-9]+")
_URI = re.compile(r"https?://[\w.:@%/-]+")
# SageMaker's 63 characters, less what the template appends.
_ENDPOINT = 63 - len("-production")


class Kind(StrEnum):
    """A repository that can be written."""

    MODEL = "model"
    DEPLOY = "deploy"


class Template(StrEnum):
    """An example that a new model repository begins as."""

    IRIS = "iris"
    CHURN = "churn"


@dataclass(frozen=True)
class Names:
    """What stands in the templates.

    Args:
        model: the registered model.
        deploy: OWNER/NAME of the deploy repository.
        tracking_uri: the MLflow server; only a deploy repository names it.
    """

    model: str
    deploy: str
    tracking_uri: str = ""

    def check(self) -> None:
        """Refuse what could not stand in every file.

        Raises:
            InputError: `name_invalid` with the way out.
        """
        try:
            check_model(self.model)
            check_repository(self.deploy)
        except BadNameError as error:
            raise InputError(error.reason, str(error)) from None
        if not PLAIN_MODEL.fullmatch(self.model):
            message = f"{show(self.model)}: use letters, digits, `.`, `_` and `-`; name another with --model"
            raise InputError("name_invalid", message, field="--model")
        if self.tracking_uri and not _URI.fullmatch(self.tracking_uri):
            message = f"{show(self.tracking_uri)} is no address of an MLflow server; http://127.0.0.1:5000 for example"
            raise InputError("uri_invalid", message, field="--tracking-uri")

    @property
    def endpoint(self) -> str:
        """How the model's endpoints are called, before the environment's name."""
        return _UNFIT.sub("-", self.model).strip("-")[:_ENDPOINT].strip("-")


def model_name(folder: Path) -> str:
    """Return a model's name made from a folder's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.absolute().resolve().name).strip("-._") or "model"


def fill_template(kind: Kind, names: Names, *, template: Template = Template.IRIS) -> Mapping[str, bytes]:
    """Return a template's files by path, with their names filled in, read back by the readers that the service uses.

    Args:
        template: what a model repository begins as.

    Raises:
        InputError: a name that cannot stand there.
    """
    names.check()
    values = {
        "__MODEL__": names.model,
        "__DEPLOY_REPOSITORY__": names.deploy,
        "__TRACKING_URI__": names.tracking_uri,
        "__ENDPOINT__": names.endpoint,
    }
    folder = template.value if kind is Kind.MODEL else kind.value
    root = resources.files("gitops").joinpath("templates", folder)
    files = {path: _fill(text, values) for path, text in sorted(_walk(root))}
    for path, content in files.items():
        check_file(path, content)
    return files


def check_file(path: str, content: bytes) -> None:
    """Read a file as the service will.

    Raises:
        InputError: it would be refused.
    """
    name = path.rpartition("/")[2]
    if name.startswith("launchpin.y"):
        parse_launchpin(content, file=path)
    elif name.startswith("endpoint.y"):
        parse_endpoint(content, file=path)
    elif name.startswith("buildspec.y"):
        read_pin(content, file=path)
    elif name == "MLproject":
        parse_mlproject(content, file=path)
    elif name.startswith("notify.y"):
        parse_notify(content, file=path, folder=PurePosixPath(path).parent)


def write_missing(folder: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Write the files that are not there yet, and return their paths. Nothing is ever overwritten."""
    written = []
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("xb") as file:
                file.write(content)
        except FileExistsError:
            continue
        written.append(path)
    return tuple(written)


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for one in folder.iterdir():
        if one.is_dir() and one.name != "__pycache__":
            yield from _walk(one, f"{prefix}{one.name}/")
        elif one.is_file():
            yield f"{prefix}{one.name}", one.read_bytes()


def _fill(content: bytes, values: Mapping[str, str]) -> bytes:
    for name, value in values.items():
        content = content.replace(name.encode(), value.encode())
    return content
