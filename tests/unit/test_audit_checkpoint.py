import base64

import pytest

from gitops.audit.checkpoint import (
    Checkpoint,
    SigningKey,
    VerifierKey,
    generate_key,
    open_note,
    parse_note,
    parse_signing_key,
    parse_verifier_key,
    sign,
)
from gitops.errors import InputError

NAME = "log.example/audit/1"
HEAD = Checkpoint(NAME, 3, bytes(range(32)))


def test_head_opens_when_its_key_signed_it() -> None:
    key = generate_key(NAME)
    note = sign(HEAD, key)
    assert open_note(note, key.verifier) == HEAD
    assert note.startswith(f"{NAME}\n3\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n\N{EM DASH} {NAME} ")


def test_note_of_the_specification_opens_when_read_with_its_key() -> None:
    # Names, key and signature as Go's golang.org/x/mod/sumdb/note publishes for its examples (PeterNeumann).
    key = parse_verifier_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    raw = base64.b64decode(signature)
    assert raw[:4] == key.key_id

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - an outside witness

    Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], text)


def test_keys_come_back_when_written_as_text() -> None:
    key = generate_key(NAME)
    assert parse_signing_key(key.to_secret_text()) == key
    assert parse_verifier_key(key.verifier.text) == key.verifier
    assert key.verifier.text.split("+")[:2] == [NAME, key.verifier.key_id.hex()]


def test_secret_is_not_shown_when_a_key_is_printed_or_refused() -> None:
    key = generate_key(NAME)
    assert key.seed.hex() not in repr(key)
    secret = key.to_secret_text()
    with pytest.raises(InputError) as caught:
        parse_signing_key(secret.replace(key.verifier.key_id.hex(), "00000000"))
    assert secret[-20:] not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        "name+00000000+AAAA",
        "+00000000+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_verifier_key_is_refused_when_it_is_not_in_its_one_form(text: str) -> None:
    with pytest.raises(InputError):
        parse_verifier_key(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\u2003b"])
def test_name_is_refused_when_a_note_cannot_carry_it(name: str) -> None:
    with pytest.raises(InputError):
        generate_key(name)


def change(old: str, new: str) -> str:
    note = sign(HEAD, SigningKey(NAME, bytes(32)))
    assert old in note
    return note.replace(old, new, 1)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        change("\n\n", "\n"),
        change("\n\n", "\n\n\n"),
        change("\n3\n", "\n03\n"),
        change("\n3\n", "\n+3\n"),
        change("\n3\n", "\n 3\n"),
        change("\n3\n", "\n-3\n"),
        change("\n3\n", "\n٣\n"),
        change("\n3\n", "\n99999999999999999\n"),
        change("\n", "\r\n"),
        change("\N{EM DASH} ", "- "),
        change("\N{EM DASH} ", "\N{EM DASH}  "),
        change("Hh8=\n", "Hh8\n"),
        change("Hh8=\n", "Hh9=\n"),
        change("Hh8=\n", "Hh8= \n"),
        change("Hh8=\n", "Hh8=\nextension\n"),
        change(NAME, ""),
        change(NAME, "log\x07"),
        change("\N{EM DASH} ", "\N{EM DASH} x\n\N{EM DASH} "),
        sign(HEAD, SigningKey(NAME, bytes(32)))[:-1],
        sign(HEAD, SigningKey(NAME, bytes(32))) + "\n",
    ],
)
def test_note_is_refused_when_its_form_has_another_spelling(note: str) -> None:
    with pytest.raises(InputError):
        parse_note(note)


def test_note_is_refused_when_the_text_or_key_is_not_what_was_signed() -> None:
    key = generate_key(NAME)
    note = sign(HEAD, key)
    with pytest.raises(InputError) as changed:
        open_note(note.replace("\n3\n", "\n4\n"), key.verifier)
    assert changed.value.reason == "audit_signature"
    with pytest.raises(InputError, match="none of the trusted keys"):
        open_note(note, generate_key(NAME).verifier)
    with pytest.raises(InputError, match="none of the trusted keys"):
        open_note(note)


def test_other_signatures_are_ignored_when_a_trusted_one_is_there() -> None:
    key, witness = generate_key(NAME), generate_key("witness.example/w1")
    both = sign(HEAD, key) + sign(HEAD, witness).split("\n\n", 1)[1]
    assert open_note(both, key.verifier) == HEAD
    assert open_note(both, witness.verifier) == HEAD
    forged = VerifierKey(witness.name, witness.verifier.public)
    broken = both.replace("\n3\n", "\n4\n")
    with pytest.raises(InputError):
        open_note(broken, key.verifier, forged)


def test_signing_is_refused_when_the_head_cannot_be_written() -> None:
    key = generate_key(NAME)
    for head in (
        Checkpoint("", 1, bytes(32)),
        Checkpoint("a\nb", 1, bytes(32)),
        Checkpoint(NAME, -1, bytes(32)),
        Checkpoint(NAME, 1, b"short"),
    ):
        with pytest.raises(InputError):
            sign(head, key)
