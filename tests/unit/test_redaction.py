"""Masking of secrets and spelling out of control characters."""

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.trainers.redaction import Redactor, show_controls

SECRET = 's3cr&t/Val+ue "quoted" é'


@pytest.mark.parametrize(
    "printed",
    [
        SECRET,
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower(),
        json.dumps(SECRET),
        repr(SECRET),
        html.escape(SECRET),
    ],
)
def test_attack_78_secret_is_masked_when_it_is_printed_in_a_common_spelling(printed: str) -> None:
    masked = Redactor([SECRET]).mask(f"before {printed} after".encode()).decode()

    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert "***" in masked
    assert "cr" not in masked
    assert len(masked) < 25


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_attack_78_secret_is_masked_when_it_is_inside_a_base64_text(before: str) -> None:
    secret = "correct-horse-battery"
    text = base64.b64encode(f"{before}{secret}:x".encode())

    masked = Redactor([secret]).mask(text)

    assert b"***" in masked
    assert len(masked) < 16


@given(
    secret=st.text(min_size=1, max_size=60).filter(str.strip), before=st.binary(max_size=9), after=st.binary(max_size=9)
)
def test_attack_78_no_raw_secret_is_left_when_the_text_holds_it(secret: str, before: bytes, after: bytes) -> None:
    masked = Redactor([secret]).mask(before + secret.encode("utf-8", "surrogatepass") + after)

    # A byte that no encoded text holds stands for the mask.
    told = masked.replace(b"***", b"\xff")
    assert secret == "*" * len(secret) or secret.encode("utf-8", "surrogatepass") not in told


def test_longer_secret_is_masked_whole_when_another_is_its_beginning() -> None:
    assert Redactor(["secret", "secret-tail"]).mask(b"[secret-tail] [secret]") == b"[***] [***]"


def test_each_line_is_masked_when_a_secret_has_several() -> None:
    key = "-----BEGIN KEY-----\nMIIEvAIBADANBgkqh\nkiG9w0BAQEFAASC\n-----END KEY-----\n"

    assert Redactor([key]).mask(b"MIIEvAIBADANBgkqh\r") == b"***\r"


@pytest.mark.parametrize(
    "token",
    [
        "ghp_" + "a1B2" * 9,
        "ghs_" + "a1B2" * 9,
        "github_pat_" + "a1B2_" * 12,
        "glpat-" + "x" * 20,
        "AKIA" + "ABCD1234" * 2,
        "xoxb-1234567890-abc",
        "hf_" + "abcDEF" * 6,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijklmnop",
    ],
)
def test_token_is_masked_when_it_is_of_a_known_kind(token: str) -> None:
    assert Redactor([]).mask(f"token={token}, next".encode()) == b"token=***, next"


@pytest.mark.parametrize("user", ["x-access-token:abc", ":abc", "0123456789abcdef0123"])
def test_attack_80_token_is_masked_when_it_stands_in_a_url(user: str) -> None:
    assert Redactor([]).mask(f"https://{user}@github.com/a/b".encode()) == b"https://***@github.com/a/b"


def test_text_is_kept_when_it_holds_no_secret() -> None:
    text = b"epoch 3: accuracy 0.97 at https://mlflow.example.com:5000/#/x, mail a@b.example, git@github.com:a/b"

    assert Redactor(["", "unrelated"]).mask(text) == text


def test_cut_moves_before_a_secret_when_it_would_go_through_it() -> None:
    redactor = Redactor(["0123456789"])

    assert redactor.cut(b"abc0123456789def", 7) == 3
    assert redactor.cut(b"0123456789def", 7) == 10
    assert redactor.cut(b"abc0123456789def", 3) == 3
    assert redactor.cut(b"abc0123456789def", 13) == 13


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\r\nb\0c\x7f\x9b", r"a\x0d\x0ab\x00c\x7f\x9b"),
        ("\u202egpj.exe\u2028", r"\u202egpj.exe\u2028"),
        ("tab\tand é and 模型 stay", "tab\tand é and 模型 stay"),
    ],
)
def test_attack_75_control_characters_are_spelled_out_when_shown(text: str, shown: str) -> None:
    assert show_controls(text) == shown


@given(st.text())
def test_attack_75_shown_text_is_one_line_whatever_it_was(text: str) -> None:
    assert len(show_controls(text).splitlines()) <= 1
