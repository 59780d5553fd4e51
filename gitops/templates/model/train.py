"""Train a decision tree on the Iris flowers and log it, with its metrics, to MLflow."""

import argparse
from pathlib import Path

import mlflow
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier


def main() -> None:
    """Train, measure on flowers that were held back, and log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-depth", type=int, default=3)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()

    features, kinds = load_iris(return_X_y=True, as_frame=True)
    # The split stays the same from run to run, so that two models are measured by the same flowers.
    train_x, test_x, train_y, test_y = train_test_split(features, kinds, test_size=0.4, stratify=kinds, random_state=0)
    tree = DecisionTreeClassifier(max_depth=options.max_depth, random_state=options.seed)

    # Under Launchpin this continues the run it made; without it, MLflow makes a new one.
    with mlflow.start_run():
        mlflow.log_params({"max_depth": options.max_depth, "seed": options.seed})
        tree.fit(train_x, train_y)
        guesses = tree.predict(test_x)
        metrics = {
            "accuracy": float(accuracy_score(test_y, guesses)),
            "f1": float(f1_score(test_y, guesses, average="macro")),
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
    print(", ".join(f"{name} {value:.3f}" for name, value in metrics.items()))


if __name__ == "__main__":
    main()
