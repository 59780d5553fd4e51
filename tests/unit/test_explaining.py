"""What `launchpin explain` says: every state has an answer, the worst comes first, and it fits on a screen."""

import re
from itertools import product
from typing import Any

import pytest

from gitops.bootstrap import stories
from gitops.explaining import (
    ANSWERS,
    DOING,
    JOBS,
    Explanation,
    Fleet,
    Hint,
    Part,
    PartTrouble,
    Place,
    Reading,
    Statement,
    Trained,
    Who,
    answer_to,
    explain_endpoint,
    explain_training,
    find_concerns,
    show,
    summarize,
)
from gitops.explaining.explanation import MOST_COMMANDS, choose_hints
from gitops.records import Health, RolloutFacts, Sync
from gitops.steps import Phase
from gitops.store.jobs import State
from tests.support import docs, reasons
from tests.support.explained import EARLIER, NOW, failed_rollout, job, open_pull, reading, serving, texts
from tests.support.store import make_hold, make_promotion, make_rollout, make_training

REASONS_PAGES = ("reasons", "launchpin-yaml", "endpoint-yaml", "notify-yaml", "buildspec")


# ---------------------------------------------------------------- the closed set


def documented() -> set[str]:
    """Return every reason in the rows of the reference, and the other words of its tables and lists."""
    page = docs.read_page("reference/reasons.md")
    rows = re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE)
    deliveries = re.findall(r"^\| (?:ignored|rejected) \| (`[^|]+) \|", page, re.MULTILINE)
    gates = page.partition("The gates of a verdict")[2].partition("\n## ")[0]
    return {word for text in (*rows, *deliveries, gates) for word in re.findall(r"`(\w+)`", text)} - {"versus"}


def test_every_documented_reason_has_an_answer() -> None:
    assert len(documented()) > 200
    assert documented() - ANSWERS.keys() == set()


def test_every_reason_that_the_code_can_give_has_an_answer() -> None:
    # The embedded forge answers in GitHub's words, and a delivery's outcome is no reason.
    given = {word for word, path in reasons.collect_reasons().items() if not path.startswith("gitops/embedded/forge/")}
    assert given - ANSWERS.keys() - {"ignored", "rejected", "woke"} == set()


def test_no_answer_is_left_of_a_reason_that_is_gone() -> None:
    known = set().union(*(docs.words_in_code(docs.read_page(f"reference/{page}.md")) for page in REASONS_PAGES))
    known |= {"ConfigurationNotReady", "NoLiveVersion", "ScorerRestarting"}  # in the reference of predictions
    assert ANSWERS.keys() - known == set()


def test_every_answer_that_waits_for_a_person_says_what_the_person_does() -> None:
    assert [word for word, answer in ANSWERS.items() if answer.who.is_person and not answer.do] == []


def test_every_step_and_every_kind_of_job_has_words_and_no_other() -> None:
    table = stories()
    steps = {(kind, step.name) for kind in ("training", "promotion", "rollout") for step in table[kind].steps}
    assert DOING.keys() == steps
    assert JOBS.keys() == table.keys()


RECORDS = {"training": make_training, "promotion": make_promotion, "rollout": make_rollout}


@pytest.mark.parametrize("kind", RECORDS)
def test_no_state_of_a_story_is_left_unexplained(kind: str) -> None:
    steps = ["", *(step.name for step in stories()[kind].steps)]
    make: Any = RECORDS[kind]
    for reason, phase, state in product(["", *ANSWERS, "OfANewerRelease"], Phase, State):
        record = make(reason=reason, message="why", phase=phase, step=steps[len(reason) % len(steps)])
        now = reading(*([] if phase.is_final else [job(record, state.value)]))
        explanation = explain(record, now)
        assert texts(explanation, Part.NEXT) or (kind != "training" and phase.is_final), (reason, phase, state)
        assert (
            phase.is_final
            or not reason
            or reason.split(":")[0] in texts(explanation, Part.WAITS)
            or reason
            in (
                "Held",
                "AwaitingMerge",
            )
        ), (reason, phase, state)
        assert len(explanation.hints) <= MOST_COMMANDS
        assert max(len(line) for line in show(explanation).splitlines()) <= 80


def explain(record: Any, now: Reading) -> Explanation:  # noqa: ANN401 - any story's record
    match type(record).__name__:
        case "Training":
            return explain_training(Trained(record), now)
        case "Promotion":
            return explain_endpoint(Place(serving(), promotions=(record,)), now)
        case _:
            return explain_endpoint(Place(serving(), rollouts=(record,)), now)


def test_reason_of_a_newer_release_is_said_to_be_unknown() -> None:
    answer = answer_to("FromTheFuture")
    assert answer.who is Who.OPERATOR
    assert "no words of its own" in answer.do


# ---------------------------------------------------------------- everything


def test_nothing_wrong_is_one_line() -> None:
    fleet = Fleet([Place(serving())])
    assert find_concerns(fleet, [], reading()) == ()
    assert summarize((), fleet, reading()) == "Nothing is wrong: 1 endpoint serves what Git pins."


def test_worst_comes_first_and_what_goes_on_by_itself_last() -> None:
    retried = make_training(reason="Retrying", message="RegistryUnavailable: away", phase=Phase.RUNNING)
    failed = make_training(model="plums", phase=Phase.ERRORED, reason="TrainingFailed", message="exit code 1")
    pull = open_pull()
    places = [
        Place(serving(endpoint="fine")),
        Place(serving(endpoint="asks"), promotions=(pull,)),
        Place(serving(endpoint="held"), holds=(make_hold(),)),
        Place(serving(endpoint="sick", health=Health.DEGRADED)),
    ]
    now = reading(job(retried, "retrying", retries=2), job(pull))
    found = find_concerns(Fleet(places, [failed]), [PartTrouble("web", "Restarting")], now)
    assert [one.name for one in found] == ["", "sick", "held", failed.id, "acme/iris-deploy#12", retried.id]
    assert summarize(found, Fleet(places), now) == "5 things need somebody; 1 thing goes on by itself."
    assert all(one.hint is not None for one in found)


def test_pull_requests_alone_are_nothing_wrong() -> None:
    fleet = Fleet([Place(serving(), promotions=(open_pull(),))])
    found = find_concerns(fleet, [], reading())
    assert summarize(found, fleet, reading()) == "Nothing is wrong; 1 pull request waits for a merge."


def test_model_that_a_gate_refused_needs_nobody_at_night() -> None:
    refused = make_training(phase=Phase.REFUSED, reason="GateRefused", message="accuracy")
    assert find_concerns(Fleet(trainings=[refused]), [], reading()) == ()


def test_recurring_job_in_trouble_is_named_by_its_repository() -> None:
    record = make_training(reason="Retrying", message="ForgeUnavailable: 502")
    compare = job(record, "retrying", kind="compare", subject="2", retries=4)
    fleet = Fleet(names={("compare", "2"): "acme/iris-deploy"})
    (found,) = find_concerns(fleet, [], reading(compare))
    assert found.text.startswith("the comparison of acme/iris-deploy: ForgeUnavailable: 502; tried again by itself")
    assert found.hint == Hint("launchpin logs forge", "why")


def test_rollout_that_moves_as_it_should_is_no_concern() -> None:
    baking = make_rollout(phase=Phase.RUNNING, step="bake", reason="Baking", message="0 errors")
    place = Place(serving(sync=Sync.OUT_OF_SYNC, sync_reason="Baking"), rollouts=(baking,))
    assert find_concerns(Fleet([place]), [], reading(job(baking))) == ()


def test_rollout_that_waits_for_a_person_is_told_once() -> None:
    stuck = make_rollout(phase=Phase.RUNNING, step="verify", reason="PlanChanged", message="it asks for more")
    place = Place(serving(sync=Sync.OUT_OF_SYNC, sync_reason="PlanChanged"), rollouts=(stuck,))
    (found,) = find_concerns(Fleet([place]), [], reading(job(stuck, "stalled")))
    assert (found.name, found.who) == ("iris-staging", Who.OWNER)


# ---------------------------------------------------------------- the screen


def test_screen_shows_parts_in_order_within_its_width_and_spells_what_is_foreign() -> None:
    hold = make_hold(author="eve\x1b[2J", message="w " * 200, created_at=EARLIER)
    place = Place(serving(), holds=(hold,), rollouts=(failed_rollout(),), promotions=(open_pull(),))
    shown = show(explain_endpoint(place, reading()), spell=lambda text: text.replace("\x1b", "<esc>"))
    titles = [line.split()[0] for line in shown.splitlines() if line and not line.startswith((" ", "iris"))]
    assert titles == ["Serving", "Failed", "Git", "Waits", "Next", "Type"]
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown


def test_last_lines_keep_their_indent_and_stay_apart_from_what_we_say() -> None:
    rollout = failed_rollout(facts=RolloutFacts(failure="X", log_tail=("    raise ValueError(", "")))
    shown = show(explain_endpoint(Place(serving(), rollouts=(rollout,)), reading()))
    assert "  |     raise ValueError(" in shown


def test_at_most_three_commands_are_proposed_each_once() -> None:
    hints = [Hint("a", ""), None, Hint("b", ""), Hint("a", ""), Hint("c", ""), Hint("d", "")]
    assert [hint.command for hint in choose_hints(*hints)] == ["a", "b", "c"]


def test_purposes_are_left_out_together_where_one_does_not_fit() -> None:
    explanation = Explanation("endpoint", "x", NOW, "x.", {Part.GIT: (Statement("y"),)}, (Hint("a" * 60, "b" * 20),))
    assert show(explanation).splitlines()[-1] == "Type     " + "a" * 60
