"""The closed YAML reader: core schema, decimals as written, places, and nothing but InputError."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.config.scalars import resolve
from gitops.config.text import Source
from gitops.config.yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, load
from gitops.errors import InputError


def error_of(data: bytes) -> InputError | None:
    """Return what the bytes are refused with; any other exception fails the test."""
    try:
        load(data, file="x")
    except InputError as error:
        return error
    return None


def refuse(text: str | bytes) -> InputError:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(InputError) as caught:
        load(data, file="launchpin.yaml")
    assert caught.value.file == "launchpin.yaml"
    assert caught.value.line >= 1
    assert caught.value.column >= 1
    return caught.value


def test_reads_core_schema_scalars_when_plain() -> None:
    text = b"""
on: on
yes: yes
time: 1:30
digits: 1_0
octal: 0o10
hex: 0x1F
ten: 010
true: TRUE
none: ~
empty:
dot: .5
quoted: "010"
"""
    assert load(text, file="x").value == {
        "on": "on",
        "yes": "yes",
        "time": "1:30",
        "digits": "1_0",
        "octal": 8,
        "hex": 31,
        "ten": 10,
        "true": True,
        "none": None,
        "empty": None,
        "dot": Decimal(".5"),
        "quoted": "010",
    }


@pytest.mark.parametrize("written", ["0.9", "0.90", "1.10", "-0.0", "1e3", "1E-5", "+.5", "3.", "0.30000000000000004"])
def test_keeps_decimal_as_written_when_plain(written: str) -> None:
    document = load(f"a: {written}".encode(), file="x")
    assert str(resolve(written)) == str(Decimal(written))
    assert isinstance(resolve(written), Decimal)
    assert document.written(("a",)) == written


@pytest.mark.parametrize("written", [".nan", ".NaN", ".inf", "-.Inf", "+.INF"])
def test_refuses_number_when_not_finite(written: str) -> None:
    error = refuse(f"gates:\n  - above: {written}\n")
    assert (error.reason, error.field, error.line, error.column) == ("yaml_not_finite", "gates[0].above", 2, 12)


@pytest.mark.parametrize("written", ["1e401", "1" * 61, "0x" + "f" * 60, "1e-99999999999999999999"])
def test_refuses_number_when_too_long_or_large(written: str) -> None:
    assert refuse(f"a: {written}").reason == "yaml_number"


@pytest.mark.parametrize(
    ("text", "reason", "field", "line", "column"),
    [
        ("a:\n  b: &x 1\n", "yaml_alias", "a.b", 2, 6),
        ("a: *x\n", "yaml_alias", "a", 1, 4),
        ("a: !!str 1\n", "yaml_tag", "a", 1, 4),
        ("a: ! 1\n", "yaml_tag", "a", 1, 4),
        ("%TAG !e! tag:example.org,2000:\n---\na: 1\n", "yaml_tag", "", 1, 1),
        ("a: 1\nb: 2\na: 3\n", "yaml_duplicate_key", "a", 3, 1),
        ("a: {b: 1, 'b': 2}\n", "yaml_duplicate_key", "a.b", 1, 11),
        ("<<: {a: 1}\n", "yaml_merge", "<<", 1, 1),
        ("? [a]\n: 1\n", "yaml_key", "", 1, 3),
        ("a: 1\n---\nb: 2\n", "yaml_documents", "", 2, 1),
        ("a: [1, 2\n", "yaml_syntax", "", 2, 1),
        ("a: b: c\n", "yaml_syntax", "", 1, 5),
        ('a: "\\0"\n', "yaml_character", "a", 1, 4),
        ("a: x\x07\n", "yaml_character", "", 1, 5),
        ("é: \ufeff1\n", "yaml_character", "", 1, 4),
        ("", "yaml_empty", "", 1, 1),
        ("# nothing\n", "yaml_empty", "", 1, 1),
    ],
)
def test_names_place_and_reason_when_refused(text: str, reason: str, field: str, line: int, column: int) -> None:
    error = refuse(text)
    assert (error.reason, error.field, error.line, error.column) == (reason, field, line, column)


def test_reads_same_values_when_file_begins_with_byte_order_mark() -> None:
    assert load(b"\xef\xbb\xbfa: 1\r\nb: x\r\n", file="x").value == {"a": 1, "b": "x"}
    error = refuse(b"\xef\xbb\xbfa: *x")
    assert (error.line, error.column) == (1, 4)


@pytest.mark.parametrize(
    ("data", "words"), [(b"a: 1\nb: \xff\n", "0xff"), (b"\xff\xfea\x00", "UTF-16"), (b"\xed\xa0\x80", "0xed")]
)
def test_refuses_encoding_when_not_utf8(data: bytes, words: str) -> None:
    error = refuse(data)
    assert error.reason == "yaml_encoding"
    assert words in error.message


def test_limits_hold_exactly_when_reached() -> None:
    depth = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert load(depth, file="x").value
    assert refuse(b"[" + depth + b"]").reason == "yaml_too_deep"
    assert load(b"[" + b"1," * (MAX_NODES - 1) + b"]", file="x").value
    assert refuse(b"[" + b"1," * MAX_NODES + b"]").reason == "yaml_too_large"
    assert load(b"a: 1\n#".ljust(MAX_BYTES, b"x"), file="x").value == {"a": 1}
    assert refuse(b"a: 1\n#".ljust(MAX_BYTES + 1, b"x")).reason == "yaml_too_large"


def test_places_count_characters_when_lines_end_in_any_way() -> None:
    source = Source("x", "a\r\nb\rc\n😀d")
    assert [source.place(at) for at in (0, 3, 5, 7, 8)] == [(1, 1), (2, 1), (3, 1), (4, 1), (4, 2)]


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_raises_only_input_error_when_bytes_are_arbitrary(data: bytes) -> None:
    error = error_of(data)
    assert error is None or (error.reason.startswith("yaml_") and error.line >= 1)


_YAML_PIECES = st.lists(
    st.sampled_from(
        ["a", "b", ": ", "- ", "[", "]", "{", "}", ", ", "\n", "  ", "'", '"', "|", ">", "&x ", "*x", "!t ", "<<", "#",
         "? ", "---\n", "...\n", "%YAML 1.2\n", "\\", "0.90", ".nan", "\t", "\r\n", "é", "😀", "\u2028", "\ufeff"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(_YAML_PIECES)
def test_raises_only_input_error_when_text_is_nearly_yaml(text: str) -> None:
    error = error_of(text.encode())
    assert error is None or error.reason.startswith("yaml_")
