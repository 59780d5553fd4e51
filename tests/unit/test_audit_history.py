"""The trail as a story: times of service, what they came from, and why they ended."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gitops.audit.at import serving_at
from gitops.audit.entry import Actor, Entry, Event, Evidence, Service, Subject, stamp
from gitops.audit.history import kept_out, known_names, tenures
from tests.support.audit_log import ORIGIN, START


def entry(kind: str, *, minute: int, actor: str = "", evidence: Evidence | None = None, **subject: str | int) -> Entry:
    who = Actor(type="user", login=actor) if actor else Actor(type="service", login="launchpin")
    event = Event(kind=kind, actor=who, subject=Subject(**subject), evidence=evidence or {})  # type: ignore[arg-type]
    return stamp(event, log_id=ORIGIN, moment=START + timedelta(minutes=minute), service=Service(version="1"))


def rollout(kind: str, version: str, *, minute: int, endpoint: str = "iris-production", **more: str) -> Entry:
    evidence: dict[str, str] = {
        name: more[name] for name in ("serving", "direction", "path", "reason", "message") if name in more
    }
    return entry(
        f"rollout.{kind}",
        minute=minute,
        actor=more.get("actor", ""),
        evidence=evidence,
        endpoint=endpoint,
        env=endpoint.removeprefix("iris-"),
        model="iris",
        version=version,
        rollout_id=more["id"],
    )


def trained(version: str, sha: str, *, minute: int) -> Entry:
    told = {"model": "iris", "version": version, "sha": sha, "repo": "acme/iris", "training_id": f"t{version}"}
    return entry("training.succeeded", minute=minute, evidence={"verdict": "pass"}, **told)


def merged(version: str, by: str, *, minute: int, env: str = "production") -> Entry:
    told = {"merged_by": by, "merge_sha": "c" * 40}
    return entry("promotion.succeeded", minute=minute, evidence=told, model="iris", version=version, env=env, pr=minute)


FIRST = [
    trained("1", "a" * 40, minute=1),
    merged("1", "ann", minute=2),
    rollout("opened", "1", minute=3, id="r1", direction="forward"),
    rollout("applied", "1", minute=4, id="r1", serving="1"),
    rollout("succeeded", "1", minute=5, id="r1", serving="1"),
]
SECOND = [
    trained("2", "b" * 40, minute=10),
    merged("2", "bob", minute=11),
    rollout("opened", "2", minute=12, id="r2", direction="forward"),
    rollout("applied", "2", minute=13, id="r2", serving="2"),
]
KEPT = [rollout("succeeded", "2", minute=15, id="r2", serving="2")]
# As `aftermath.finish` writes it.
TOLD = "BakeFailed: 3 of 10 were 5xx - version 1 serves"
BROKEN = [
    rollout("restored", "2", minute=15, id="r2", serving="1"),
    rollout("rolled_back", "2", minute=40, id="r2", serving="1", reason="BakeFailed", message=TOLD),
]
BACK = [
    rollout("opened", "1", minute=20, id="r3", direction="rollback", actor="oncall"),
    rollout("applied", "1", minute=21, id="r3", serving="1"),
]


def told(entries: list[Entry], name: str = "iris-production") -> list[tuple[str, str, str]]:
    return [(one.version, one.merged_by, one.ended) for one in tenures(entries, name)]


def test_version_that_serves_has_no_end_and_its_commit_verdict_and_merge() -> None:
    (one,) = tenures(FIRST, "iris-production")
    assert (one.start, one.end, one.ended) == (START + timedelta(minutes=4), None, "")
    assert (one.repo, one.sha, one.training_id, one.verdict) == ("acme/iris", "a" * 40, "t1", "pass")
    assert (one.merged_by, one.pull, one.merge_sha, one.rollout_id) == ("ann", 2, "c" * 40, "r1")
    assert one.approved_by is None


def test_version_ends_when_traffic_goes_to_a_newer_one() -> None:
    first, second = tenures([*FIRST, *SECOND, *KEPT], "iris-production")
    assert first.end == second.start == START + timedelta(minutes=13)
    assert (first.ended, second.ended) == ("replaced by v2", "")


def test_version_that_failed_says_what_failed_and_the_one_before_serves_again() -> None:
    assert told([*FIRST, *SECOND, *BROKEN]) == [
        ("1", "ann", "replaced by v2"),
        ("2", "bob", "failed: BakeFailed: 3 of 10 were 5xx"),
        ("1", "ann", ""),
    ]


def test_traffic_is_back_when_it_was_restored_not_when_git_followed() -> None:
    *_, failed, again = tenures([*FIRST, *SECOND, *BROKEN], "iris-production")
    assert failed.end == again.start == START + timedelta(minutes=15)
    _, failed, again = tenures([*FIRST, *SECOND, BROKEN[0]], "iris-production")
    assert (failed.ended, again.end) == ("failed", None)


def test_rollback_asked_for_during_the_bake_is_told_as_one() -> None:
    message = "RolledBack: ada asked for version 1 during its bake - version 1 serves"
    asked = [rollout("rolled_back", "2", minute=15, id="r2", serving="1", reason="RolledBack", message=message)]
    assert told([*FIRST, *SECOND, *asked])[1][2] == "rolled back: ada asked for version 1 during its bake"


def test_rollback_by_a_person_is_told_with_the_name() -> None:
    assert told([*FIRST, *SECOND, *KEPT, *BACK])[1:] == [("2", "bob", "rolled back to v1 by oncall"), ("1", "ann", "")]


def test_version_that_is_taken_out_leaves_a_time_in_which_nothing_is_told_to_serve() -> None:
    out = [rollout("rolled_back", "1", minute=30, id="r1", serving="", reason="NoPrevious")]
    assert told([*FIRST, *out]) == [("1", "ann", "failed: NoPrevious")]
    emptied = [rollout("succeeded", "", minute=30, id="r9", serving="")]
    assert told([*FIRST, *emptied]) == [("1", "ann", "taken out of service")]


def test_model_is_told_on_every_endpoint_in_the_order_of_time() -> None:
    staging = [
        merged("1", "launchpin[bot]", minute=1, env="staging"),
        rollout("applied", "1", minute=2, id="s1", endpoint="iris-staging", serving="1"),
    ]
    found = tenures([*staging, *FIRST], "iris")
    assert [(one.endpoint, one.env, one.merged_by) for one in found] == [
        ("iris-staging", "staging", "launchpin[bot]"),
        ("iris-production", "production", "ann"),
    ]
    assert known_names([*staging, *FIRST]) == ["iris", "iris-production", "iris-staging"]


def served(endpoint: str, version: str, *, minute: int, path: str = "prod") -> list[Entry]:
    """Return a rollout of a folder whose endpoint.yaml names this endpoint."""
    name = f"{endpoint}-{version}-{minute}"
    return [
        rollout("opened", version, minute=minute, endpoint=endpoint, id=name, direction="forward", path=path),
        rollout("applied", version, minute=minute + 1, endpoint=endpoint, id=name, serving=version),
        rollout("succeeded", version, minute=minute + 2, endpoint=endpoint, id=name, serving=version),
    ]


def spells(entries: list[Entry], name: str = "iris") -> list[tuple[str, str, int | None, str]]:
    """Return on which endpoint which version served, until which minute, and why it ended."""
    return [
        (one.endpoint, one.version, (one.end - START) // timedelta(minutes=1) if one.end else None, one.ended)
        for one in tenures(entries, name)
    ]


MOVED = [*served("iris-old", "1", minute=0), *served("iris-new", "1", minute=10)]


def test_endpoint_that_lost_its_environment_to_another_one_ends_there() -> None:
    assert spells(MOVED) == [
        ("iris-old", "1", 11, "its environment moved to endpoint iris-new"),
        ("iris-new", "1", None, ""),
    ]
    assert spells(MOVED, "iris-old") == spells(MOVED)[:1]


def test_endpoint_stays_with_its_environment_while_others_move() -> None:
    elsewhere = [*served("iris-old", "1", minute=0), *served("iris-new", "1", minute=10, path="staging")]
    assert [ended for *_, ended in spells(elsewhere)] == ["", ""]
    begun = [*served("iris-old", "1", minute=0), served("iris-new", "1", minute=10)[0]]
    assert spells(begun) == [("iris-old", "1", None, "")], "no traffic has moved yet"


def test_endpoint_that_its_environment_comes_back_to_has_a_new_time_there() -> None:
    back = [*MOVED, *served("iris-old", "1", minute=20)]
    assert spells(back) == [
        ("iris-old", "1", 11, "its environment moved to endpoint iris-new"),
        ("iris-new", "1", 21, "its environment moved to endpoint iris-old"),
        ("iris-old", "1", None, ""),
    ]


def test_endpoint_that_another_environment_has_taken_since_goes_on() -> None:
    taken = [*served("iris-old", "1", minute=0), *served("iris-old", "2", minute=5, path="staging")]
    assert spells([*taken, *served("iris-new", "1", minute=10)]) == [
        ("iris-old", "1", 6, "replaced by v2"),
        ("iris-old", "2", None, ""),
        ("iris-new", "1", None, ""),
    ]


def test_nothing_is_told_of_what_never_served() -> None:
    assert tenures([], "iris") == []
    assert tenures(FIRST, "churn") == []
    never = [rollout("rolled_back", "1", minute=1, id="r1", serving="", reason="SmokeFailed")]
    assert (tenures(never, "iris"), known_names(never)) == ([], ["iris", "iris-production"])


# ---------------------------------------------------------------- named as REPOSITORY:PATH


def in_folder(repo: str, version: str, *, minute: int, endpoint: str = "iris-prod", repo_id: int = 2) -> list[Entry]:
    """Return a rollout of the folder `prod` of a deploy repository."""
    about: Any = {
        "repo": repo,
        "repo_id": repo_id,
        "endpoint": endpoint,
        "env": "prod",
        "model": "iris",
        "version": version,
    }
    name = f"{repo}-{minute}"
    return [
        entry("rollout.opened", minute=minute, evidence={"path": "prod"}, rollout_id=name, **about),
        entry("rollout.applied", minute=minute + 1, evidence={"serving": version}, rollout_id=name, **about),
    ]


TWO_PLACES = [
    *in_folder("acme/deploy", "1", minute=0),
    *in_folder("acme/other", "7", minute=5, endpoint="other-prod", repo_id=3),
    *in_folder("acme/deploy", "2", minute=10, endpoint="iris-new"),
    *in_folder("acme/renamed", "3", minute=20, endpoint="iris-new"),
]


def test_a_place_is_told_whatever_its_endpoint_and_its_repository_were_called() -> None:
    expected = [("iris-prod", "1"), ("iris-new", "2"), ("iris-new", "3")]
    for name in ("acme/renamed:prod", "acme/deploy:prod"):
        assert [(one.endpoint, one.version) for one in tenures(TWO_PLACES, name)] == expected
    assert [one.version for one in tenures(TWO_PLACES, "acme/other:prod")] == ["7"]
    for name in ("acme/deploy:", "acme/deploy:staging", "acme/none:prod", "acme/deploy", ":prod"):
        assert tenures(TWO_PLACES, name) == []
    assert {"acme/deploy:prod", "acme/other:prod", "acme/renamed:prod"} <= set(known_names(TWO_PLACES))


def test_what_served_at_a_place_is_told_with_the_endpoint_that_it_had_then() -> None:
    answers = [
        serving_at(TWO_PLACES, "acme/renamed:prod", time=START + timedelta(minutes=minute)) for minute in (2, 12, 30)
    ]
    assert [(one.endpoint, one.version) for one in answers] == [
        ("iris-prod", "1"),
        ("iris-new", "2"),
        ("iris-new", "3"),
    ]
    never = serving_at(TWO_PLACES, "acme/renamed:staging", time=START)
    assert (never.known, never.endpoint) == (False, "acme/renamed:staging")
    assert "no record of endpoint acme/renamed:staging" in never.message


def test_a_name_that_went_to_another_repository_is_the_newer_ones() -> None:
    taken = [*in_folder("acme/deploy", "1", minute=0), *in_folder("acme/deploy", "9", minute=10, repo_id=8)]
    assert [one.version for one in tenures(taken, "acme/deploy:prod")] == ["9"]


def test_what_was_kept_out_of_a_place_is_told_for_that_place_alone() -> None:
    about: Any = {"repo": "acme/deploy", "repo_id": 2, "env": "prod", "model": "iris"}
    refused = entry("promotion.refused", minute=30, evidence={"reason": "TierTooLow"}, version="4", **about)
    elsewhere: Any = {**about, "repo": "acme/other", "repo_id": 3}
    other = entry("promotion.refused", minute=31, evidence={"reason": "TierTooLow"}, version="5", **elsewhere)
    trail = [*TWO_PLACES, refused, other]
    assert [one.version for one in kept_out(trail, "acme/deploy:prod")] == ["4"]
    assert [one.version for one in kept_out(trail, "acme/other:prod")] == ["5"]
    begun = entry("promotion.opened", minute=29, evidence={"path": "prod"}, version="4", **about)
    assert [one.version for one in kept_out([begun, refused], "acme/deploy:prod")] == ["4"]


# ---------------------------------------------------------------- merges, each of one place alone

EU, US = (2, "acme/eu-deploy"), (3, "acme/us-deploy")
ONE = (2, "acme/deploy")


def pinned(
    version: str, *, minute: int, at: tuple[int, str], path: str = "production", by: str = "", written: bool = False
) -> list[Entry]:
    """Return a rollout of a folder to an endpoint of its own; `by` goes back there, and `written` says so in Git."""
    about: Any = {"repo_id": at[0], "repo": at[1], "env": "production", "model": "iris", "version": version}
    about |= {"endpoint": f"iris-{at[1]}-{path}", "rollout_id": f"r-{at[0]}-{path}-{minute}"}
    direction = "rollback" if by else "forward"
    told: Any = {"path": path, "direction": direction}
    moved = [
        entry("rollout.opened", minute=minute, actor=by, evidence=told, **about),
        entry("rollout.applied", minute=minute + 1, evidence={"serving": version}, **about),
    ]
    git = [entry("rollout.written_back", minute=minute + 2, evidence={"write_back_sha": "e" * 40}, **about)]
    return [*moved, *(git if written else [])]


def promoted(
    version: str, by: str, *, minute: int, at: tuple[int, str], path: str = "production", is_older: bool = False
) -> list[Entry]:
    """Return a promotion to a folder, from its beginning to its merge; of an older release only the first names it."""
    about: Any = {"repo_id": at[0], "repo": at[1], "env": "production", "model": "iris", "version": version}
    about["promotion_id"] = f"p-{at[0]}-{path}-{minute}"
    where = {} if is_older else {"path": path}
    told: Any = {"merged_by": by, "merge_sha": f"{minute:040x}", "approved_by": [f"{by}s-friend"], **where}
    return [
        entry("promotion.opened", minute=minute - 1, evidence={"path": path}, **about),
        entry("promotion.succeeded", minute=minute, evidence=told, pr=minute, **about),
    ]


def merges(entries: list[Entry], endpoint: str) -> list[tuple[str, str, int]]:
    """Return each version that served on an endpoint, who merged it, and by which pull request."""
    in_order = sorted(entries, key=lambda entry: entry.ts)
    found = [(one.version, one.merged_by, one.pull) for one in tenures(in_order, endpoint)]
    for version, merged_by, _ in found[-1:]:
        now = serving_at(in_order, endpoint, time=START + timedelta(days=1))
        assert (now.version, now.merged_by) == (version, merged_by), "both tell the same"
    return found


@pytest.mark.parametrize(
    ("eu", "us", "eu_path", "us_path"),
    [(EU, US, "production", "production"), (ONE, ONE, "eu/production", "us/production")],
    ids=["two repositories", "two folders of one"],
)
@pytest.mark.parametrize("is_older", [False, True], ids=["with its path", "older"])
def test_merge_for_another_environment_of_the_same_name_is_not_told_of_this_one(
    eu: tuple[int, str], us: tuple[int, str], eu_path: str, us_path: str, is_older: bool
) -> None:
    trail = [
        *promoted("8", "ada", minute=10, at=eu, path=eu_path, is_older=is_older),
        *promoted("8", "bob", minute=15, at=us, path=us_path, is_older=is_older),
        *pinned("8", minute=16, at=us, path=us_path),
        *pinned("8", minute=20, at=eu, path=eu_path),
    ]
    assert merges(trail, f"iris-{eu[1]}-{eu_path}") == [("8", "ada", 10)]
    assert merges(trail, f"iris-{us[1]}-{us_path}") == [("8", "bob", 15)]
    pushed = [*trail[2:]]
    assert merges(pushed, f"iris-{eu[1]}-{eu_path}") == [("8", "", 0)]
    late = [*trail[2:4], *pinned("8", minute=5, at=eu, path=eu_path)]
    assert merges(late, f"iris-{eu[1]}-{eu_path}") == [("8", "", 0)], "nor one that came later"


def test_merge_is_found_by_its_folder_whatever_the_environment_is_called() -> None:
    named = [msgspec.structs.replace(one, subject=msgspec.structs.replace(one.subject, env="eu"))
             for one in promoted("8", "ada", minute=10, at=EU)]  # fmt: skip
    assert merges([*named, *pinned("8", minute=20, at=EU)], "iris-acme/eu-deploy-production") == [("8", "ada", 10)]


def test_version_that_is_pinned_again_without_a_pull_request_has_no_merge_on_record() -> None:
    first = [*promoted("8", "ada", minute=10, at=EU), *pinned("8", minute=11, at=EU)]
    second = [*promoted("9", "bob", minute=20, at=EU), *pinned("9", minute=21, at=EU)]
    again = pinned("8", minute=30, at=EU)
    endpoint = "iris-acme/eu-deploy-production"
    assert merges([*first, *second, *again], endpoint) == [("8", "ada", 10), ("9", "bob", 20), ("8", "", 0)]
    by_pull = promoted("8", "cyd", minute=29, at=EU)
    assert merges([*first, *second, *by_pull, *again], endpoint)[-1] == ("8", "cyd", 29)


def test_version_that_a_way_back_brings_again_was_merged_by_who_merged_it_first() -> None:
    first = [*promoted("8", "ada", minute=10, at=EU), *pinned("8", minute=11, at=EU)]
    second = [*promoted("9", "bob", minute=20, at=EU), *pinned("9", minute=21, at=EU)]
    back = pinned("8", minute=30, at=EU, by="oncall", written=True)
    endpoint = "iris-acme/eu-deploy-production"
    assert merges([*first, *second, *back], endpoint)[-1] == ("8", "ada", 10)
    # Git pins 8 since then: who pins 9 once more by hand has nobody's merge.
    pushed = pinned("9", minute=40, at=EU)
    assert merges([*first, *second, *back, *pushed], endpoint)[-1] == ("9", "", 0)
    unwritten = pinned("8", minute=30, at=EU, by="oncall")
    assert merges([*first, *second, *unwritten, *pushed], endpoint)[-1] == ("9", "bob", 20)


def test_pin_of_another_folder_on_the_same_endpoint_takes_no_merge_from_this_one() -> None:
    def on(endpoint: str, entries: list[Entry]) -> list[Entry]:
        return [msgspec.structs.replace(one, subject=msgspec.structs.replace(one.subject, endpoint=endpoint))
                for one in entries]  # fmt: skip

    trail = [
        *promoted("8", "ada", minute=10, at=ONE, path="prod"),
        *on("shared", pinned("9", minute=20, at=ONE, path="other")),
        *on("shared", pinned("8", minute=30, at=ONE, path="prod")),
    ]
    assert merges(trail, "shared") == [("9", "", 0), ("8", "ada", 10)]
