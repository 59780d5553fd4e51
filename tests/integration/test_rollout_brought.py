"""Versions that were made without Launchpin in mind: logged without an example, or registered by hand."""

from gitops.environments import UvEnvironments
from tests.integration.environments_rig import environments, wheels
from tests.integration.test_rollout_story import deployment, forge
from tests.support.rollouts import Deployment

__all__ = ["deployment", "environments", "forge", "wheels"]


def allow(deployment: Deployment, rule: str) -> None:
    deployment.write("staging/endpoint.yaml", f"version: 1\nendpoint: iris-staging\n{rule}\n")


def test_a_version_without_an_example_is_refused_with_the_way_out(deployment: Deployment) -> None:
    deployment.add_version("4", has_example=False)
    deployment.pin("4")
    ended = deployment.rollouts()[-1]
    assert (ended.phase, ended.reason) == ("RolledBack", "SmokeFailed")
    assert "log it with input_example=, or say `missing: warn`" in ended.message
    assert deployment.target.asked == []


def test_a_version_without_an_example_is_let_through_and_told_where_the_file_says_so(deployment: Deployment) -> None:
    deployment.add_version("4", has_example=False)
    allow(deployment, "smoke: [{missing: warn}]")
    deployment.serve("1")
    asked = list(deployment.target.asked)
    deployment.serve("4")
    ended = deployment.rollouts()[-1]
    assert (ended.phase, ended.facts.smoke) == ("Succeeded", "not asked")
    assert ended.message == "version 4 serves; it has no input example, so it was asked nothing"
    assert deployment.target.asked == asked == ["1", "1"]


def test_a_version_registered_by_hand_is_refused_by_default(deployment: Deployment) -> None:
    deployment.registry.add("iris", "4")
    deployment.pin("4")
    ended = deployment.rollouts()[-1]
    assert (ended.phase, ended.reason) == ("Refused", "pin_refused")
    assert "4 has no verdict of Launchpin's, and unjudged is refuse" in ended.message
    assert deployment.live() == ""


def test_a_version_registered_by_hand_serves_in_an_environment_of_its_own_requirements_where_the_file_says_so(
    deployment: Deployment, environments: UvEnvironments
) -> None:
    deployment.registry.add("iris", "4")
    (deployment.registry.folder / "iris/4/requirements.txt").write_text("launchpin_probe_top\n")
    deployment.with_parts(environments=environments)
    allow(deployment, "unjudged: warn")
    deployment.serve("4")
    ended = deployment.rollouts()[-1]
    assert (ended.phase, ended.message) == ("Succeeded", "version 4 serves")
    built = environments.find(ended.facts.environment_key or "")
    assert built is not None
    assert deployment.store.lock_of(built.key) == environments.lock_of(built.key)
    assert deployment.store.version("iris", "4") is None


def test_a_version_registered_by_hand_is_refused_when_it_does_not_say_what_it_needs(deployment: Deployment) -> None:
    deployment.registry.add("iris", "4")
    allow(deployment, "unjudged: warn")
    deployment.pin("4")
    ended = deployment.rollouts()[-1]
    assert (ended.phase, ended.reason) == ("Refused", "pin_refused")
    assert "iris 4 has no requirements.txt to serve it by" in ended.message
