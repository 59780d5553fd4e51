"""What a conda.yaml asks conda for, in the words of PyPI. Pure.

The environments here are made of wheels, so a package of conda's own list is taken from PyPI where it is known to be
the same software there. A name that is not known is refused: the two indexes are named by different people, and a guess
could install a stranger's package. Source: conda's match specifications,
https://docs.conda.io/projects/conda/en/stable/user-guide/concepts/pkg-specs.html
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from gitops.environments.requirements import UNRESOLVABLE
from gitops.errors import RefusedError

_SPEC = re.compile(r"(?:[^:\s]+::)?([A-Za-z0-9._-]+)([\s=<>!~].*)?")
# Part of every Python environment, whoever makes it.
_OWN = frozenset({"python", "pip", "setuptools", "wheel"})
_SAME_NAMES = """
    accelerate boto3 catboost category_encoders click cloudpickle cython dask dask-ml datasets dill diviner fsspec
    gensim h5py huggingface_hub hyperopt imbalanced-learn jax joblib jsonschema keras lightgbm lightning lxml
    matplotlib mlflow mlflow-skinny networkx nltk numba numpy onnx onnxruntime openpyxl optuna packaging pandas patsy
    pillow plotly pmdarima polars prophet psutil pyarrow pydantic pyspark python-dateutil pytorch-lightning pytz pyyaml
    requests s3fs scikit-image scikit-learn scipy seaborn sentence-transformers shap six sktime skops spacy sqlalchemy
    statsmodels sympy tabulate tensorflow threadpoolctl tokenizers torchmetrics torchvision tqdm transformers
    typing-extensions umap-learn xarray xgboost
"""
# The same software under the same name on conda's usual channels and on PyPI.
_SAME = frozenset(_SAME_NAMES.split())
_OTHER = {
    "dask-core": "dask",
    "matplotlib-base": "matplotlib",
    "py-xgboost": "xgboost",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "tensorflow-cpu": "tensorflow",
}
_FUZZY = re.compile(r"=\s*([0-9][^=*,|\s]*?)(?:\.?\*)?")
_BARE = re.compile(r"[0-9][^=<>!~,|\s]*")


@dataclass(frozen=True)
class FromConda:
    """What the list of packages comes to.

    Args:
        python: the interpreter that is asked for, as written; empty when the list leaves it open.
        lines: requirements in pip's words.
    """

    python: str
    lines: tuple[str, ...]


def read_conda_packages(items: Iterable[str], *, file: str) -> FromConda:
    """Read the texts of a conda.yaml's dependencies, all but the list under pip.

    Raises:
        RefusedError: `EnvironmentUnresolvable`, naming every package that is not known, or what cannot be read.
    """
    python, lines, unknown = "", [], []
    for item in items:
        name, version = _split(item, file=file)
        if name == "python":
            python = version
        elif name in _SAME or name in _OTHER:
            lines.append(f"{_OTHER.get(name, name)}{_specifier(item, version, file=file)}")
        elif name not in _OWN:
            unknown.append(name)
    if unknown:
        raise RefusedError(
            UNRESOLVABLE,
            f"{file}: {', '.join(sorted(unknown))} would come from conda, which is not used here, and is not known "
            "on PyPI by that name: move it to the list under pip by its name there, or leave it out",
        )
    return FromConda(python, tuple(lines))


def _split(item: str, *, file: str) -> tuple[str, str]:
    match = _SPEC.fullmatch(item.strip())
    if match is None or "[" in item:
        message = f"{file}: {item!r} is no package; write name, name=1.2 or name>=1.2 for example"
        raise RefusedError(UNRESOLVABLE, message)
    return match[1].lower(), (match[2] or "").strip()


def _specifier(item: str, version: str, *, file: str) -> str:
    """Return a version as pip writes it; the build that may follow it names a file of conda's, and none of PyPI's."""
    words = re.sub(r"\s*([=<>!~,|])\s*", r"\1", version).split()
    # A second `=` begins the build, as a second word does: `numpy=1.26.4=py311h_0`.
    asked = re.sub(r"^(=[^=,|]+)=.*$", r"\1", words[0]) if words else ""
    pips = ",".join(_one(part) for part in asked.split(",")) if asked else ""
    try:
        return str(SpecifierSet(pips))
    except InvalidSpecifier:
        message = f"{file}: the version in {item!r} cannot be said in pip's words; move it to the list under pip"
        raise RefusedError(UNRESOLVABLE, message) from None


def _one(part: str) -> str:
    """Return one condition; `=1.2` and `1.2.*` mean any patch of it to conda, a bare version this very one."""
    if fuzzy := _FUZZY.fullmatch(part):
        return f"=={fuzzy[1]}.*"
    return f"=={part}" if _BARE.fullmatch(part) else part
