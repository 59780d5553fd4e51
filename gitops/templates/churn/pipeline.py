"""What is tried: four algorithms, each with a grid of its own, behind one preparation of the columns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from data import NUMBERS, WORDS

GRIDS: Mapping[str, Mapping[str, list[Any]]] = {
    "knn": {"n_neighbors": [5, 15, 45], "weights": ["uniform"]},
    "logistic": {"C": [0.01, 0.1, 1.0], "class_weight": [None, "balanced"]},
    "tree": {"max_depth": [4, 6, 9], "min_samples_leaf": [10]},
    "forest": {"max_depth": [6, 12], "min_samples_leaf": [2, 8], "n_estimators": [60]},
}
# Types of fitted models that are loaded besides scikit-learn's classes: the file that holds a model runs no pickle.
TRUSTED = ["sklearn.tree._tree.Tree"]


@dataclass(frozen=True)
class Candidate:
    """One algorithm with one choice of its parameters."""

    algorithm: str
    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        """Name it as its run is named."""
        return " ".join([self.algorithm, *(f"{name}={value}" for name, value in self.parameters.items())])


def candidates(algorithms: list[str]) -> Iterator[Candidate]:
    """Give every point of the algorithms' grids."""
    for algorithm in algorithms:
        for parameters in ParameterGrid(GRIDS[algorithm]):
            yield Candidate(algorithm, parameters)


def make_pipeline(candidate: Candidate, *, seed: int) -> Pipeline:
    """Return what a candidate is fitted as: numbers scaled, words as columns of 0 and 1, then the algorithm."""
    prepare = ColumnTransformer(
        [
            ("numbers", StandardScaler(), NUMBERS),
            ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), WORDS),
        ]
    )
    return Pipeline([("prepare", prepare), (candidate.algorithm, _make_model(candidate, seed))])


def _make_model(candidate: Candidate, seed: int) -> Any:
    match candidate.algorithm:
        case "knn":
            return KNeighborsClassifier(algorithm="brute", **candidate.parameters)
        case "logistic":
            return LogisticRegression(max_iter=1000, **candidate.parameters)
        case "tree":
            return DecisionTreeClassifier(random_state=seed, **candidate.parameters)
        case _:
            return RandomForestClassifier(random_state=seed, **candidate.parameters)
