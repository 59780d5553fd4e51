"""Properties of the pin over generated buildspecs: exactly one value changes, whatever surrounds it."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.buildspec import Pin, read_pin, set_pin
from gitops.errors import InputError

SLOT = "\x00"  # stands for the version in a generated file
EXAMPLES = 5000

_VERSIONS = st.integers(1, 9_999_999_999).map(str)
_COMMENTS = st.sampled_from(["", "  # é 😀", " # MODEL_VERSION=9", " # 'x\""])
_NAMES = st.sampled_from(["iris", "Iris-2", "модель", "a.b_c", "no", "0x1F"])
_URIS = st.sampled_from(["https://mlflow.example.com", "http://127.0.0.1:5000", "https://h/p?x=1#y", "http://[::1]:1"])
_NOISE = st.sampled_from(
    [
        "",
        "# 😀 MODEL_VERSION=9\n",
        "x: &x {a: 1, b: [*y]}\n",
        "reports:\n  'a: b': \"c\\td\"\n",
        "artifacts: {files: ['**/*'], name: !Sub x}\n",
        "text: |\n  MODEL_VERSION=9\n\n  é\n",
        "dup: 1\ndup: 2\n",
        "version: 0.2\n",
    ]
)
_OTHER_COMMANDS = st.sampled_from(
    ["", "echo $MODEL_VERSION", "'docker build --build-arg MODEL_VERSION=\"$MODEL_VERSION\" .'", "pip install x"]
)
_SHELL = st.sampled_from(["{}", '"{}"', "'{}'"])
_EXPORT = st.sampled_from(["", "export ", "export  "])
_END = st.sampled_from(["", " ", ";", " ; "])


def _quote_yaml(text: str, style: str) -> str:
    match style:
        case "'":
            return "'" + text.replace("'", "''") + "'"
        case '"':
            return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case _:
            return text


@dataclass(frozen=True)
class Spec:
    """A generated file with `SLOT` where its version stands, and what it should say."""

    text: str
    uri: str
    name: str

    def at(self, version: str) -> str:
        return self.text.replace(SLOT, version)


@st.composite
def _assignment(draw: st.DrawFn, name: str, value: str) -> str:
    quotes, style, end = draw(_SHELL), draw(st.sampled_from(["", "'", '"'])), draw(_END)
    if set(value) & set("?#[]&"):
        quotes = '"{}"'
    text = draw(_EXPORT) + f"{name}={quotes.format(value)}" + (end if style else end.rstrip())
    return _quote_yaml(text, style) + draw(_COMMENTS)


@st.composite
def _specs(draw: st.DrawFn) -> Spec:
    uri, name = draw(_URIS), draw(_NAMES)
    pairs = draw(st.permutations([("TRACKING_URI", uri), ("MODEL_NAME", name), ("MODEL_VERSION", SLOT)]))
    indent = " " * draw(st.integers(1, 4))
    if draw(st.booleans()):
        lines = [draw(_assignment(key, value)) for key, value in pairs]
        lines += [other for other in (draw(_OTHER_COMMANDS),) if other]
        dash = draw(st.sampled_from(["- ", "-   "]))
        body = f"phases:\n{indent}pre_build:\n{indent * 2}commands:\n"
        body += "".join(f"{indent * 3}{dash}{line}\n" for line in lines)
    else:
        style = draw(st.sampled_from(["'", '"']))
        lines = [f"{key}: {style}{value}{style}{draw(_COMMENTS)}" for key, value in pairs]
        body = f"env:\n{indent}variables:\n" + "".join(f"{indent * 2}{line}\n" for line in lines)
    text = draw(_NOISE) + body + draw(_NOISE)
    if draw(st.booleans()):
        text = text.rstrip("\n")
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    return Spec(draw(st.sampled_from(["", "\ufeff"])) + text, uri, name)


@settings(max_examples=EXAMPLES, deadline=None)
@given(_specs(), st.just("") | _VERSIONS, st.just("") | _VERSIONS)
def test_i16_only_the_version_changes_when_pin_is_set(spec: Spec, old: str, new: str) -> None:
    before = spec.at(old)
    assert read_pin(before) == Pin(spec.uri, spec.name, old)
    change = set_pin(before.encode(), version=new)
    assert change.text == spec.at(new)
    assert (change.old, change.new) == (Pin(spec.uri, spec.name, old), Pin(spec.uri, spec.name, new))
    assert change.is_change == (old != new)


@settings(max_examples=1000, deadline=None)
@given(
    _specs(), _VERSIONS, st.integers(0, 400), st.text("\n\r \t'\"#&*!{}[]:-$`\\=;|>0aMÉ😀", max_size=4), st.booleans()
)
def test_i16_damaged_file_is_refused_or_edited_in_one_place(
    spec: Spec, version: str, at: int, damage: str, removes: bool
) -> None:
    text = spec.at("7")
    at = min(at, len(text))
    damaged = text[:at] + damage + text[at + removes :]
    try:
        change = set_pin(damaged, version=version)
    except InputError as error:
        place = (error.line, error.column)
    else:
        place = (1, 1)
        assert read_pin(change.text) == change.new
        assert set_pin(change.text, version=change.old.model_version or "1").old == change.new
        assert sum(one != other for one, other in zip(damaged.split("\n"), change.text.split("\n"), strict=True)) <= 1
    assert min(place) >= 1


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_raises_only_input_error_when_bytes_are_arbitrary(data: bytes) -> None:
    try:
        read_pin(data)
    except InputError as error:
        reason = error.reason
    else:
        reason = ""
    assert reason.startswith(("yaml_", "pin_"))
