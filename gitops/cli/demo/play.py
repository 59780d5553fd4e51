"""The verb: starts the stack, plays the scenes, shows a summary, and stays up until Ctrl-C."""

import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from gitops.bootstrap import for_command
from gitops.cli.demo import acts, scenes
from gitops.cli.demo.acts import Act
from gitops.cli.demo.examples import EXAMPLES, Example
from gitops.cli.demo.kills import PARTS
from gitops.cli.demo.picture import draw
from gitops.cli.demo.report import Report
from gitops.cli.demo.stage import SceneError, Stage
from gitops.cli.exits import ExitCode
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.scaffold import Template
from gitops.cli.show import Console, duration, print_json
from gitops.cli.up import mint_links, running_stack
from gitops.embedded.stack.environment import settings_for
from gitops.errors import LaunchpinError

_START_TIME = 240.0


@click.command()
@stack_dir_option
@json_option
@click.option("--example", type=click.Choice(list(EXAMPLES)), default="iris", help="The model to play with.")
@click.option("--act", type=click.Choice(list(acts.ACTS)), help="What to play after the good push.")
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="With --act kill: this part alone.")
@click.option("--no-wait", is_flag=True, help="Merge without asking, and stop at the end.")
@click.option(
    "--report",
    "report_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write steps, URLs and audit head there, as JSON.",
)
@click.option(
    "--picture",
    "picture_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw what was played there, as SVG, when it came to its end.",
)
def demo(
    stack_dir: Path,
    *,
    as_json: bool,
    example: str,
    act: str | None,
    parts: tuple[str, ...],
    no_wait: bool,
    report_file: Path | None,
    picture_file: Path | None,
) -> int:
    """Play the whole loop: push, train, judge, merge, roll out, predict, prove."""
    if parts and act != "kill":
        raise click.UsageError("--part names what --act kill kills: say --act kill too")
    console = Console(sys.stderr if as_json else sys.stdout)
    waits = not no_wait and console.is_terminal and sys.stdin.isatty()
    report = Report()
    try:
        return _play(stack_dir, console, report, EXAMPLES[example], act=acts.find(act, parts), waits=waits)
    except KeyboardInterrupt:
        console.rest()
        console.say("Left before the end. All data stays; the same command goes on from there.")
        report.failed = {"step": report.steps[-1].name if report.steps else "start", "message": "interrupted"}
        return ExitCode.INTERRUPTED
    finally:
        if report_file is not None:
            report.write(report_file)
        if picture_file is not None and report.ok:
            picture_file.write_text(draw(report), encoding="utf-8")
        if as_json:
            print_json(report.document())


def _play(stack_dir: Path, console: Console, report: Report, example: Example, *, act: Act | None, waits: bool) -> int:
    _shorten(console, act)
    console.say(f"Launchpin's demo, in {stack_dir}: one push, one prediction, every part real and on this machine.")
    begun = time.monotonic()
    try:
        with running_stack(stack_dir, console, timeout=_START_TIME) as stack:
            if stack.stop.is_set():
                raise KeyboardInterrupt
            store = for_command(settings_for(stack.layout))
            stage = Stage(stack.layout, store, example, console, stack.stop, report, waits, began=begun)
            report.add("start", started=store.now(), seconds=time.monotonic() - begun, facts={})
            _play_scenes(stage, act)
            report.ok = True
            if waits:
                console.say("Everything stays up until Ctrl-C, which stops it and keeps the data.")
                stack.supervisor.run_until(stack.stop)
    except LaunchpinError as error:
        return _fail(console, report, error)
    console.say(f"Stopped; all data stays in {stack_dir}. `{_command(stack_dir)}` starts it again.")
    return ExitCode.OK


def _shorten(console: Console, act: Act | None) -> None:
    """Let an act wait less than usual; the stack's parts take these variables from this process."""
    chosen = {name: value for name, value in act.settings.items() if name not in os.environ} if act else {}
    if chosen:
        console.say(f"For this act: {', '.join(f'{name}={value}' for name, value in chosen.items())}")
        os.environ.update(chosen)


def _fail(console: Console, report: Report, error: LaunchpinError) -> int:
    name = report.steps[-1].name if report.steps else "start"
    log = error.log if isinstance(error, SceneError) else ""
    report.failed = {"step": name, "message": error.message, "log": log}
    console.rest()
    console.say(f"{console.paint('✗', 'red', bold=True)} {name}: {error.message}")
    if log:
        console.say(f"  its log: {log}")
    return ExitCode.BROKEN


def _command(stack_dir: Path) -> str:
    """Return what starts this stack again, as it can be typed here."""
    own = Path(sys.executable).parent / "launchpin"
    word = "launchpin" if shutil.which("launchpin") else os.path.relpath(own)
    is_default = stack_dir.absolute() == Path(".launchpin-stack").absolute()
    return f"{word} up" if is_default else f"{word} up --dir {shlex.quote(str(stack_dir))}"


def _play_scenes(stage: Stage, act: Act | None) -> None:
    scenes.connect(stage)
    scenes.change_something(stage)
    commit = scenes.push_model(stage)
    training = scenes.see_delivery(stage, commit)
    training = scenes.watch_training(stage, training)
    training = scenes.see_verdict(stage, training)
    version = training.facts.version or ""
    for environment in (scenes.STAGING, scenes.PRODUCTION):
        promotion = scenes.see_pull(stage, environment, version)
        scenes.await_merge(stage, promotion)
        serving = scenes.see_rollout(stage, environment, version)
    answer = scenes.predict(stage, serving)
    if act is not None:
        act.play(stage)
    scenes.prove(stage)
    _summarise(stage, serving, pull=promotion.facts.url or "", answer=answer, act=act.name if act else "")


def _summarise(stage: Stage, serving: scenes.Serving, *, pull: str, answer: str, act: str) -> None:
    links = mint_links(stage.layout)
    url = f"{serving.environment.url}/invocations"
    body = scenes.example_request(stage, serving.environment.serving).decode()
    curl = f"curl -s {url} -H 'content-type: application/json' -d {shlex.quote(_one_line(body))}"
    model = f"{stage.example.model} {serving.environment.serving}"
    rows = {
        "pull request": pull,
        "pinned": f"{model} in {stage.example.deploy}, production/buildspec.yml",
        "endpoint": url,
        "try": curl,
        "prediction": answer[:200],
        "audit": f"head of {stage.report.audit['size']} entries verified, bundle {stage.report.audit['bundle']}",
        "dashboard": links.dashboard,
        "forge": links.forge,
        "MLflow": links.mlflow,
    }
    stage.report.urls = {"pull_request": pull, "endpoint": url, **vars(links)}
    if not stage.waits:
        # What is printed now would be dead at once: everything stops by itself.
        rows = {key: rows[key] for key in ("pinned", "prediction", "audit")}
    console = stage.console
    took = duration(time.monotonic() - stage.began)
    console.say(f"\n{console.paint(f'One push, one prediction: {took}', 'green', bold=True)}")
    for key, value in rows.items():
        console.say(f"  {key.rjust(12)}  {value}")
    console.say("\n  What to try next:")
    for command, words in _next(stage, act):
        console.say(f"    {command.ljust(_WIDE)}  {words}")
    console.say()


def _next(stage: Stage, act: str) -> Iterator[tuple[str, str]]:
    """Give what may be typed next, and what it shows."""
    which = "" if stage.example.template is Template.IRIS else f" EXAMPLE={stage.example.model}"
    for name, words in _ACTS.items():
        if name != act:
            yield f'make demo{which} ARGS="--act {name}"', words
    if not which:
        yield "make demo EXAMPLE=churn", "four algorithms compared by cross-validation, the best one served"
    yield _command(stage.layout.dir), "start it all again, and work with it"
    yield "docs/tutorial.md", "from nothing to a model of your own"


def _one_line(body: str) -> str:
    return " ".join(body.split())


_WIDE = 46
_ACTS = {
    "worse": "a push that makes the model worse",
    "broken": "models that break when they serve",
    "kill": "every part is killed once while pushes go on",
}
