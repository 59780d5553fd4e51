"""What a training's process must find in its environment so that its MLflow calls land in our run. Pure."""

import json

from gitops.ports import RunRef


def child_variables(tracking_uri: str, run: RunRef, *, within: str) -> dict[str, str]:
    """Return the variables for a script of any shape, with or without `mlflow.start_run()`.

    MLflow resumes MLFLOW_RUN_ID on the first `start_run` and then forgets it, so later runs of a loop are runs of
    their own. MLFLOW_RUN_CONTEXT is a JSON object of tags that the client puts on each run that it creates (it is
    not put on a resumed one), which is how those runs are found again.

    Args:
        within: `<training>/<attempt>`, the value of the tag `launchpin.within`.
    """
    return {
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MLFLOW_REGISTRY_URI": tracking_uri,
        "MLFLOW_EXPERIMENT_ID": run.experiment_id,
        "MLFLOW_RUN_ID": run.run_id,
        "MLFLOW_RUN_CONTEXT": json.dumps({"launchpin.within": within}),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
