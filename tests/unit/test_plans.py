import hashlib
import json
import re
import shutil
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitops.plans import configuration_name, plan_digest, promotion_branch, slug

ODD_NAMES = (
    "a b",
    "..",
    ".hidden",
    "dots.",
    "a..b",
    "a...b",
    "x.lock",
    "x.LOCK",
    "@",
    "@{",
    "HEAD",
    "-dash",
    "a/b",
    "tilde~caret^colon:",
    "star*[?]\\",
    "Größe",
    "模型",
    "\u202eabc",
    "\n",
    " ",
    "x" * 200,
    "x" * 61,
    "x" * 60,
    "a" * 59 + ".b",
    "",
    "refs/heads/main",
    "--upload-pack=x",
    "<!-- -->",
    "</details><img onerror>",
    "Fixes #1",
)


@pytest.mark.parametrize("name", ["iris", "Iris-2", "a.b_c", "v1.0", "x" * 60])
def test_slug_is_the_name_when_it_is_a_legal_ref_part(name: str) -> None:
    assert slug(name) == name


@pytest.mark.parametrize("name", ODD_NAMES)
def test_git_takes_the_branch_when_names_are_odd(name: str) -> None:
    git = shutil.which("git")
    assert git is not None

    checked = subprocess.run(
        [git, "check-ref-format", "--branch", promotion_branch(name, name)], capture_output=True, check=False
    )

    assert checked.returncode == 0, checked.stderr


@given(st.text(max_size=80) | st.text(alphabet=".-_@{}/~ab", max_size=80))
def test_slug_is_a_legal_ref_part_when_the_name_is_arbitrary(name: str) -> None:
    part = slug(name)

    # `git help check-ref-format`, with the characters that need no quoting anywhere.
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,68}", part)
    assert ".." not in part
    assert not part.endswith((".", ".lock"))


@given(st.text(max_size=30), st.text(max_size=30))
@example("a b", "a-b")
@example("a b", "a b ")
@example("x", "")
@example("x" * 60, "x" * 61)
def test_branches_are_distinct_when_names_are(one: str, other: str) -> None:
    assert (promotion_branch("staging", one) == promotion_branch("staging", other)) is (one == other)
    assert (promotion_branch(one, "iris") == promotion_branch(other, "iris")) is (one == other)


@given(st.text(max_size=30))
def test_branch_is_not_taken_over_when_a_model_is_named_like_anothers_slug(name: str) -> None:
    impostor = slug(name)

    assert impostor == name or slug(impostor) != impostor


def test_branch_names_environment_and_model_when_both_are_ordinary() -> None:
    assert promotion_branch("staging", "iris") == "launchpin/staging/iris"
    digits = hashlib.sha256(b"my model").hexdigest()[:8]
    assert promotion_branch("staging", "my model") == f"launchpin/staging/my-model-{digits}"


@given(st.text(max_size=80), st.text(max_size=8))
def test_configuration_name_fits_every_target_when_the_endpoint_is_arbitrary(endpoint: str, settings: str) -> None:
    name = configuration_name(endpoint, "e" * 64, settings)

    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}", name)
    assert name == configuration_name(endpoint, "e" * 64, settings)


def test_configuration_name_differs_when_any_part_does() -> None:
    names = {
        configuration_name("iris", "e" * 64, "s" * 64),
        configuration_name("iris2", "e" * 64, "s" * 64),
        configuration_name("iris", "f" * 64, "s" * 64),
        configuration_name("iris", "e" * 64, "t" * 64),
    }

    assert len(names) == 4


def test_configuration_name_is_the_known_one_when_asked_after_an_upgrade() -> None:
    # Configurations are found by this name: a change of the rule would orphan all that exist.
    digits = hashlib.sha256(f"iris\n{'e' * 64}\n{'s' * 64}".encode()).hexdigest()[:16]

    assert configuration_name("iris", "e" * 64, "s" * 64) == f"iris-{digits}" == "iris-4d4f6b2d4cd15466"


def test_plan_digest_is_the_known_one_when_asked_after_an_upgrade() -> None:
    desired = {"version": "7", "model": "iris", "settings": {"bake": 120, "é": [1, 2.5, True, None]}}

    canonical = '{"model":"iris","settings":{"bake":120,"é":[1,2.5,true,null]},"version":"7"}'
    assert plan_digest(desired) == hashlib.sha256(canonical.encode()).hexdigest()
    assert (
        plan_digest({})
        == hashlib.sha256(b"{}").hexdigest()
        == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    )


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(-9, 9) | st.none() | st.booleans()))
def test_plan_digest_is_the_same_when_only_the_order_differs(desired: dict[str, object]) -> None:
    turned = dict(reversed(desired.items()))

    assert plan_digest(desired) == plan_digest(turned) == plan_digest(json.loads(json.dumps(desired)))


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)), st.text(max_size=5), st.text(max_size=5))
def test_plan_digest_differs_when_any_input_does(desired: dict[str, str], name: str, value: str) -> None:
    other = desired | {name: value}

    assert (plan_digest(desired) == plan_digest(other)) is (desired == other)
