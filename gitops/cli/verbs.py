"""The table of verbs, and the page of help made from it. Imports nothing: `launchpin --help` loads no more."""

# Verb: where its command is, and what it does in a line.
VERBS = {
    "up": ("gitops.cli.up:up", "Start everything on this machine and keep it running."),
    "down": ("gitops.cli.up:down", "Stop what `up` started; all data stays."),
    "demo": ("gitops.cli.demo:demo", "Play the whole loop: push, train, judge, merge, roll out, predict."),
    "init": ("gitops.cli.init:init", "Write a model or deploy repository, or what yours is missing."),
    "add": ("gitops.cli.add:add", "Put a repository under Launchpin's care."),
    "status": ("gitops.cli.status:status", "Show repositories, models, endpoints, and what is moving."),
    "explain": ("gitops.cli.explain:explain", "Explain one thing on one screen, or what needs somebody."),
    "runs": ("gitops.cli.runs:runs", "List trainings and what became of them."),
    "trials": ("gitops.cli.trials:trials", "List a search's trials: parameters, metrics, and the best."),
    "versions": (
        "gitops.cli.versions:versions",
        "List a model's versions: verdict, metrics, and where each serves.",
    ),
    "endpoints": ("gitops.cli.endpoints:endpoints", "List endpoints: what serves, what is pinned, who holds it."),
    "history": ("gitops.cli.history:history", "Show which version served where, from when to when."),
    "dora": ("gitops.cli.dora:dora", "Tell how often, how fast and how well versions are deployed."),
    "logs": ("gitops.cli.logs:logs", "Show the log of a training or a rollout, or follow it."),
    "pr": ("gitops.cli.pr:pr", "List, show or merge pull requests."),
    "plan": ("gitops.cli.plan:plan", "Say what a version would do to an endpoint, before it is merged."),
    "train": ("gitops.cli.train:train", "Train the head of a branch now."),
    "retry": ("gitops.cli.train:retry", "Try a training once more, or at once what waits."),
    "cancel": ("gitops.cli.train:cancel", "Call a training off."),
    "register": ("gitops.cli.trials:register", "Register another trial of a search than its best."),
    "promote": ("gitops.cli.promote:promote", "Propose a version for an environment by hand."),
    "rollback": ("gitops.cli.rollback:rollback", "Set an environment back to an earlier version."),
    "hold": ("gitops.cli.hold:hold", "Stop automation for an environment: propose, but do not roll out."),
    "pause": ("gitops.cli.hold:pause", "Hold everything: propose, but merge and roll out nothing."),
    "resume": ("gitops.cli.hold:resume", "Lift a hold, or the pause."),
    "redeliver": ("gitops.cli.redeliver:redeliver", "Handle a webhook delivery once more."),
    "gc": ("gitops.cli.gc:gc", "Remove what nobody needs any more, or show what would go."),
    "people": ("gitops.cli.people:people", "Say who may do what, and let people sign in."),
    "token": ("gitops.cli.token:token", "Make, list or end tokens for the API."),
    "notify": ("gitops.cli.notify:notify", "Try a channel of notify.yaml, or see who was told of what."),
    "audit": ("gitops.cli.audit:audit", "Export, verify or ask the audit log."),
    "validate": ("gitops.cli.validate:validate", "Check the files of a repository."),
    "doctor": ("gitops.cli.doctor:doctor", "Check this machine: ports, Python, git, disk."),
    "schema": ("gitops.cli.schema:schema", "Print the JSON Schema of a file's format."),
    "completion": ("gitops.cli.shells:completion", "Print what makes bash, zsh or fish complete names."),
}

_HELP = """\
Usage: launchpin [OPTIONS] VERB [ARGS]...

  Git as the one switch for machine-learning models: push to train, merge to
  serve, revert to roll back.

Verbs:
{verbs}

Options:
  --version   Show the version and exit.
  -h, --help  Show this page, or after a verb the verb's, and exit.

Exit codes: 0 ok, 1 refused by a rule, 2 usage, 3 inconclusive or timed out,
4 broken.
"""


def help_text() -> str:
    """Return the page."""
    return _HELP.format(verbs="\n".join(f"  {name:<10} {text}" for name, (_, text) in VERBS.items()))
