"""What a browser keeps while it signs in: sealed, short-lived, and leading nowhere else."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gitops.signins import SECONDS, begin_attempt, is_answer_to, seal, seal_key, unseal, within

KEY = seal_key("secret")


def test_an_attempt_comes_back_as_it_was_until_it_is_over() -> None:
    attempt = begin_attempt("oidc", next_path="/trainings/t-1?x=ä", now=1000)
    kept = seal(attempt, KEY)
    assert unseal(kept, KEY, now=1000 + SECONDS - 1) == attempt
    assert unseal(kept, KEY, now=1000 + SECONDS) is None
    assert unseal(kept, seal_key("other"), now=1000) is None


def test_every_attempt_has_secrets_of_its_own() -> None:
    one, other = (begin_attempt("oidc", next_path="/", now=1000) for _ in range(2))
    secrets = {one.state, one.nonce, one.verifier, other.state, other.nonce, other.verifier}
    assert len(secrets) == 6
    assert all(43 <= len(secret) <= 128 for secret in secrets)  # RFC 7636, 4.1


@given(st.text())
def test_no_text_is_an_attempt_that_we_did_not_seal(text: str) -> None:
    assert unseal(text, KEY, now=0) is None


@given(at=st.integers(0, 200), letter=st.characters(codec="ascii"))
def test_a_seal_does_not_hold_when_one_letter_is_another(at: int, letter: str) -> None:
    attempt = replace(begin_attempt("oidc", next_path="/", now=1000), state="s" * 43, nonce="n" * 43, verifier="v" * 43)
    kept = seal(attempt, KEY)
    changed = kept[:at] + letter + kept[at + 1 :]
    assert (unseal(changed, KEY, now=1000) == attempt) is (changed == kept)


@given(st.text())
def test_an_answer_belongs_to_the_attempt_with_its_state_alone(text: str) -> None:
    attempt = begin_attempt("oidc", next_path="/", now=1000)
    assert is_answer_to(attempt, attempt.state)
    assert not is_answer_to(attempt, text)


@given(st.text(alphabet="/\\abc:?&=%\t\n\r ä\u2028\x00"))
def test_a_path_to_go_to_leads_to_one_of_ours(text: str) -> None:
    path = within(text)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert path.isprintable()
