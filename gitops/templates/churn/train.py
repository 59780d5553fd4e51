"""Compare four algorithms by cross-validation, and log the best model of who leaves to MLflow.

Every candidate is a run below the training's own, and every fold of its cross-validation a run below the candidate's.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import mlflow
import pandas as pd
from data import LABEL, make_customers
from pipeline import GRIDS, TRUSTED, Candidate, candidates, make_pipeline
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split

FOLDS = 5
HERE = Path(__file__).parent


def main() -> None:
    """Compare, fit the best on all that may be trained with, measure on customers that were held back, and log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithms", default="all", help=f"all, or some of {', '.join(GRIDS)}, with commas between")
    parser.add_argument("--customers", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    algorithms = list(GRIDS) if options.algorithms == "all" else options.algorithms.split(",")
    if unknown := set(algorithms) - set(GRIDS):
        parser.error(f"--algorithms: there is no {', '.join(sorted(unknown))}; there are {', '.join(GRIDS)}")

    customers = make_customers(options.customers, seed=options.seed)
    features, churned = customers.drop(columns=LABEL), customers[LABEL]
    # The split stays the same from run to run, so that two models are measured by the same customers.
    train_x, test_x, train_y, test_y = train_test_split(
        features, churned, test_size=0.25, stratify=churned, random_state=0
    )

    # Under Launchpin this continues the run it made; without it, MLflow makes a new one.
    with mlflow.start_run():
        mlflow.log_params(vars(options))
        tried = [(one, cross_validate(one, train_x, train_y, seed=options.seed)) for one in candidates(algorithms)]
        # F1 selects, on folds alone; of equals the first.
        best, folds = max(tried, key=lambda pair: pair[1]["f1"].mean())
        model = make_pipeline(best, seed=options.seed).fit(train_x, train_y)
        metrics = measure(model, test_x, test_y)
        mlflow.log_metrics(metrics | {f"cv_{name}": mean for name, mean in folds.mean().items()})
        mlflow.log_params({"algorithm": best.algorithm, **best.parameters})
        store(best, folds, tried)
        mlflow.sklearn.log_model(
            model,
            name="model",
            # What a first request is tried with before a new version gets traffic.
            input_example=test_x.head(3),
            # MLflow stores the model in the skops format, which loads none but named types: no pickle is ever run.
            skops_trusted_types=TRUSTED,
            # Said, not inferred: inferring takes longer than the training.
            pip_requirements=str(HERE / "requirements.txt"),
        )
    print(f"{len(tried)} candidates, {FOLDS} folds each; the best by F1 is {best}")
    print(", ".join(f"{name} {value:.3f}" for name, value in metrics.items()))


def cross_validate(candidate: Candidate, features: pd.DataFrame, churned: pd.Series, *, seed: int) -> pd.DataFrame:
    """Fit and measure a candidate on each fold, each in a run of its own, and return the metrics by fold."""
    rows = []
    split = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with mlflow.start_run(run_name=str(candidate), nested=True):
        mlflow.log_params({"algorithm": candidate.algorithm, **candidate.parameters})
        for fold, (inside, outside) in enumerate(split.split(features, churned), start=1):
            with mlflow.start_run(run_name=f"fold {fold}", nested=True):
                model = make_pipeline(candidate, seed=seed).fit(features.iloc[inside], churned.iloc[inside])
                found = measure(model, features.iloc[outside], churned.iloc[outside])
                mlflow.log_param("fold", fold)
                mlflow.log_metrics(found)
            rows.append(found)
        folds = pd.DataFrame(rows, index=pd.RangeIndex(1, FOLDS + 1, name="fold"))
        mlflow.log_metrics(folds.mean().to_dict())
    return folds


def measure(model, features: pd.DataFrame, churned: pd.Series) -> dict[str, float]:
    """Return how well a model tells who leaves; F1 is that of the leaving, who are the fewer."""
    guesses, chances = model.predict(features), model.predict_proba(features)[:, 1]
    return {
        "f1": float(f1_score(churned, guesses)),
        "accuracy": float(accuracy_score(churned, guesses)),
        "roc_auc": float(roc_auc_score(churned, chances)),
    }


def store(best: Candidate, folds: pd.DataFrame, tried: Sequence[tuple[Candidate, pd.DataFrame]]) -> None:
    """Keep, with the run: all candidates, and of the winner its parameters, its folds and the code it is made by."""
    compared = pd.DataFrame(
        [{"candidate": str(one), "algorithm": one.algorithm, **found.mean()} for one, found in tried]
    )
    mlflow.log_text(compared.sort_values("f1", ascending=False, kind="stable").to_csv(index=False), "candidates.csv")
    mlflow.log_dict({"algorithm": best.algorithm, "parameters": dict(best.parameters)}, "winner/parameters.json")
    mlflow.log_text(folds.to_csv(), "winner/folds.csv")
    for source in ("pipeline.py", "data.py", "train.py"):
        mlflow.log_artifact(str(HERE / source), "winner/source")


if __name__ == "__main__":
    main()
