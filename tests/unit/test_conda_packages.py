"""A conda.yaml's packages in pip's words: only what is known to be the same on PyPI, only what can be said there."""

import pytest

from gitops.environments.conda import FromConda, read_conda_packages
from gitops.errors import RefusedError


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("numpy", "numpy"),
        ("numpy>=1.14.3", "numpy>=1.14.3"),
        ("scikit-learn>0.19.1", "scikit-learn>0.19.1"),
        ("pandas=1.5", "pandas==1.5.*"),
        ("pandas=1.5.*", "pandas==1.5.*"),
        ("pandas 1.5.*", "pandas==1.5.*"),
        ("pandas==1.5.3", "pandas==1.5.3"),
        ("pandas 1.5.3", "pandas==1.5.3"),
        ("numpy=1.26.4=py311h64a7726_0", "numpy==1.26.4.*"),
        ("numpy 1.26.4 py311h64a7726_0", "numpy==1.26.4"),
        ("numpy >=1.20, <2", "numpy<2,>=1.20"),
        ("conda-forge::XGBoost=2", "xgboost==2.*"),
        ("pytorch::pytorch=2.1", "torch==2.1.*"),
        ("py-xgboost", "xgboost"),
        ("matplotlib-base", "matplotlib"),
    ],
)
def test_package_is_asked_of_pypi_when_it_is_the_same_there(written: str, asked: str) -> None:
    assert read_conda_packages([written], file="conda.yaml").lines == (asked,)


@pytest.mark.parametrize(
    ("written", "python"),
    [(["python=3.7", "pip"], "=3.7"), (["python>=3.10", "pip<24", "wheel"], ">=3.10"), (["setuptools"], "")],
)
def test_interpreter_is_read_and_nothing_else_when_the_list_says_no_more(written: list[str], python: str) -> None:
    assert read_conda_packages(written, file="conda.yaml") == FromConda(python, ())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (["numpy", "cudatoolkit=11", "r-base"], "conda.yaml: cudatoolkit, r-base would come from conda"),
        (["sklearn"], "sklearn would come"),
        (["numpy>=1.2|<1"], "'numpy>=1.2|<1' cannot be said"),
        (["numpy[version='>=1']"], "is no package"),
        (["https://example.com/x.tar.bz2"], "is no package"),
        ([""], "'' is no package"),
    ],
)
def test_package_is_refused_by_name_when_it_is_not_known_or_cannot_be_said(written: list[str], said: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_conda_packages(written, file="conda.yaml")
    assert said in str(caught.value)
    assert caught.value.reason == "EnvironmentUnresolvable"
