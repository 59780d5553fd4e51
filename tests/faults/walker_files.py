"""The files of the repositories that walked cases begin with."""

LAUNCHPIN = """\
version: 1
model: {model}
train:
  parameters: {{metric: 0.95, artifacts: "{mlflow}"}}
register:
  gates: [{{metric: accuracy, above: 0.9}}]
"""
DEPLOY = """\
deploy:
  repository: {deploy}
  environments:
    staging: {{path: staging, merge: auto}}
    production: {{path: production, needs: staging, merge: review}}
"""
MLPROJECT = """\
name: walked
entry_points:
  main:
    parameters: {metric: float, artifacts: string}
    command: "python train.py {metric} {artifacts}"
"""
TRAIN = """\
import http.client, json, os, sys

metric, artifacts = sys.argv[1:]
server = http.client.HTTPConnection(artifacts.removeprefix("http://"))
run, experiment = os.environ["MLFLOW_RUN_ID"], os.environ["MLFLOW_EXPERIMENT_ID"]


def send(method, path, body):
    server.request(method, path, body, {"Content-Type": "application/json"})
    answer = server.getresponse()
    said = answer.read()
    assert answer.status == 200, said


for path, content in %r.items():
    send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/model/{path}", content)
logged = {"run_id": run, "key": "accuracy", "value": float(metric), "timestamp": 1, "step": 0}
send("POST", "/api/2.0/mlflow/runs/log-metric", json.dumps(logged))
"""
BUILDSPEC = """\
version: 0.2
# people's words stay
phases:
  pre_build:
    commands:
      - TRACKING_URI="{tracking}"
      - MODEL_NAME="{model}"
      - MODEL_VERSION="{version}"   # the pin
"""
ENDPOINT = """\
version: 1
endpoint: {endpoint}
strategy: {{type: all_at_once, bake: {bake}}}
rollback: {{write: {write}}}
"""
