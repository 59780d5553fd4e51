"""Train a decision tree on the Iris flowers and log it, with its metrics, to MLflow.

With GRID=full in the environment a hundred trees are compared first, each in a run of its own, and the best is taken.
"""

import argparse
import itertools
import os
from pathlib import Path

import mlflow
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import cross_validate, train_test_split
from sklearn.tree import DecisionTreeClassifier

DEPTHS = range(1, 11)
LEAVES = range(2, 12)
# The flowers are of three kinds, so F1 is the mean over the kinds, weighted by how many flowers each has.
SCORES = {"accuracy": "accuracy", "f1": "f1_weighted"}


def main() -> None:
    """Train, measure on flowers that were held back, and log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-depth", type=int, default=3)
    parser.add_argument("--max-leaf-nodes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()

    features, kinds = load_iris(return_X_y=True, as_frame=True)
    # The split stays the same from run to run, so that two models are measured by the same flowers.
    train_x, test_x, train_y, test_y = train_test_split(features, kinds, test_size=0.4, stratify=kinds, random_state=0)

    # Under Launchpin this continues the run it made; without it, MLflow makes a new one.
    with mlflow.start_run():
        shape = {"max_depth": options.max_depth, "max_leaf_nodes": options.max_leaf_nodes}
        if os.environ.get("GRID") == "full":
            shape = find_best(train_x, train_y, seed=options.seed)
            mlflow.log_params({f"best_{name}": value for name, value in shape.items()} | {"seed": options.seed})
        else:
            mlflow.log_params(shape | {"seed": options.seed})
        tree = DecisionTreeClassifier(**shape, random_state=options.seed).fit(train_x, train_y)
        guesses = tree.predict(test_x)
        metrics = {
            "accuracy": float(accuracy_score(test_y, guesses)),
            "f1": float(f1_score(test_y, guesses, average="weighted")),
        }
        mlflow.log_metrics(metrics)
        mlflow.sklearn.log_model(
            tree,
            name="model",
            # What a first request is tried with before a new version gets traffic.
            input_example=test_x.head(3),
            # MLflow stores the model in the skops format, which loads none but named types: no pickle is ever run.
            skops_trusted_types=["sklearn.tree._tree.Tree"],
            # Said, not inferred: inferring takes longer than the training.
            pip_requirements=str(Path(__file__).with_name("requirements.txt")),
        )
    print(", ".join(f"{name} {value}" for name, value in shape.items()))
    print(", ".join(f"{name} {value:.3f}" for name, value in metrics.items()))


def find_best(features, kinds, *, seed: int) -> dict[str, int]:
    """Try every shape of tree in a run of its own, and return the best by F1; of equals the smallest.

    Each is measured by five-fold cross-validation on the flowers to train with. Those held back have no say.
    """
    tried = {}
    for depth, leaves in itertools.product(DEPTHS, LEAVES):
        shape = {"max_depth": depth, "max_leaf_nodes": leaves}
        tree = DecisionTreeClassifier(**shape, random_state=seed)
        found = cross_validate(tree, features, kinds, cv=5, scoring=SCORES)
        means = {name: float(found[f"test_{name}"].mean()) for name in SCORES}
        with mlflow.start_run(run_name=f"depth {depth}, {leaves} leaves", nested=True):
            mlflow.log_params(shape | {"seed": seed})
            mlflow.log_metrics(means)
        tried[depth, leaves] = means["f1"]
    depth, leaves = max(tried, key=tried.get)
    return {"max_depth": depth, "max_leaf_nodes": leaves}


if __name__ == "__main__":
    main()
