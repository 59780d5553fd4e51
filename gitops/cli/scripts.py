"""What a training script says about itself, read from its syntax tree. Pure, and the script is never run."""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gitops.config.names import BadNameError, check_parameter
from gitops.errors import InputError

_NUMBERS = {"int", "float", "INT", "FLOAT", "IntRange", "FloatRange"}
_SWITCHES = {"store_true", "store_false", "store_const", "count", "help", "version", "append", "append_const"}
_LOGGED_ONE = {"log_metric"}
_LOGGED_MANY = {"log_metrics"}
# What is imported under another name than it is installed by; the commonest only, since this is advice.
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "yaml": "PyYAML", "PIL": "pillow", "cv2": "opencv-python"}


@dataclass(frozen=True)
class Option:
    """A command-line option that takes one value.

    Args:
        name: the parameter's name, `max_depth` for `--max-depth`.
        flag: as it is written on the command line.
        type: MLproject's word, `float` or `string`.
        default: as the script has it; None when a value must be given.
    """

    name: str
    flag: str
    type: str = "string"
    default: int | float | str | None = None


@dataclass(frozen=True)
class Script:
    """A script as far as its text tells.

    Args:
        options: those that can be parameters, in the order written.
        left_out: options and arguments that cannot, as written.
        metrics: names it logs.
        packages: what it imports from outside the standard library and its own folder.
        is_main: it has `if __name__ == "__main__"`.
        registers: names under which it registers its model itself.
        experiments: names of the MLflow experiments that it sets.
        uses_autolog: MLflow names its metrics, so that none stands here.
    """

    options: tuple[Option, ...] = ()
    left_out: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    is_main: bool = False
    registers: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    uses_autolog: bool = False

    @property
    def uses_mlflow(self) -> bool:
        """Whether it imports mlflow."""
        return "mlflow" in self.packages


def read_script(text: bytes, *, file: str, siblings: Iterable[str] = ()) -> Script:
    """Read a script.

    Args:
        text: its bytes.
        file: its name, for messages.
        siblings: names of modules beside it, which are not packages to install.

    Raises:
        InputError: `script_invalid` when it is no Python of this interpreter's version.
    """
    try:
        tree = ast.parse(text, filename=file)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", 0) or 0
        raise InputError(
            "script_invalid", f"this is no Python that can be read: {error}", file=file, line=line
        ) from None
    found = list(_find_options(tree))
    options = {one.name: one for one in found if isinstance(one, Option)}
    return Script(
        options=tuple(options.values()),
        left_out=tuple(dict.fromkeys([*(one for one in found if isinstance(one, str)), *_find_positions(tree)])),
        metrics=tuple(dict.fromkeys(_find_metrics(tree))),
        packages=tuple(sorted(set(_find_packages(tree, {"__future__", *siblings})))),
        is_main=any(_is_main(node) for node in tree.body),
        registers=tuple(dict.fromkeys(_find_registered(tree))),
        experiments=tuple(dict.fromkeys(_find_experiments(tree))),
        uses_autolog=any(_called(call) == "autolog" for call in _calls(tree)),
    )


def _find_options(tree: ast.Module) -> Iterator[Option | str]:
    for call in _calls(tree):
        name = _called(call)
        if name in {"add_argument", "option", "argument"}:
            yield from _read_option(call, is_click=name != "add_argument")


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Give the calls in the order in which they are written; `ast.walk` goes level by level."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return iter(sorted(calls, key=lambda call: (call.lineno, call.col_offset)))


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


def _read_option(call: ast.Call, *, is_click: bool) -> Iterator[Option | str]:
    """Give the option, its name when it cannot be a parameter, or nothing when the call is something else."""
    names = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    flag = next((name for name in names if name.startswith("--")), "")
    if not flag:
        if names and not is_click and not names[0].startswith("-"):
            yield names[0]
        return
    keywords = {one.arg: one.value for one in call.keywords if one.arg}
    name = flag.removeprefix("--").replace("-", "_")
    if "/" in flag or _takes_no_single_value(keywords) or not _is_parameter(name):
        yield flag
        return
    has_default, default = _read_default(keywords)
    is_required = _literal(keywords.get("required")) is True
    if has_default or is_required:
        yield Option(name, flag, _type_of(keywords.get("type"), default), None if is_required else default)
    else:
        yield flag


def _takes_no_single_value(keywords: dict[str, ast.expr]) -> bool:
    action = _literal(keywords.get("action"))
    several = keywords.keys() & {"nargs", "is_flag", "multiple", "count", "flag_value"}
    return bool(several) or action in _SWITCHES


def _is_parameter(name: str) -> bool:
    try:
        check_parameter(name)
    except BadNameError:
        return False
    return "." not in name and "-" not in name


def _read_default(keywords: dict[str, ast.expr]) -> tuple[bool, int | float | str | None]:
    """Return whether there is a default that can be written down, and the default."""
    value = _literal(keywords.get("default"))
    is_value = isinstance(value, (int, float, str)) and not isinstance(value, bool) and value != ""
    return is_value, value if is_value else None


def _literal(node: ast.expr | None) -> int | float | str | bool | None:
    match node:
        case ast.Constant(value=(bool() | int() | float() | str()) as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=(int() | float()) as value)):
            return -value
        case _:
            return None


def _type_of(node: ast.expr | None, default: float | str | None) -> str:
    named = ""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            named = name
        case ast.Call():
            named = _called(node)
        case _:
            pass
    is_number = named in _NUMBERS or (not named and isinstance(default, (int, float)))
    return "float" if is_number else "string"


def _find_metrics(tree: ast.Module) -> Iterator[str]:
    for call in _calls(tree):
        if not call.args:
            continue
        match _called(call), call.args[0]:
            case name, ast.Constant(value=str() as metric) if name in _LOGGED_ONE:
                yield metric
            case name, ast.Dict(keys=keys) if name in _LOGGED_MANY:
                yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def _find_positions(tree: ast.Module) -> Iterator[str]:
    """Give `sys.argv[1]` and its like: arguments without a name, which only a person can name."""
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(
                value=ast.Attribute(value=ast.Name(id="sys"), attr="argv"), slice=ast.Constant(value=int() as place)
            ) if place > 0:
                yield f"sys.argv[{place}]"


def _find_registered(tree: ast.Module) -> Iterator[str]:
    for call in _calls(tree):
        keywords = {one.arg: one.value for one in call.keywords if one.arg}
        named = call.args[1] if _called(call) == "register_model" and len(call.args) > 1 else None
        name = _literal(named or keywords.get("registered_model_name"))
        if isinstance(name, str) and name:
            yield name


def _find_experiments(tree: ast.Module) -> Iterator[str]:
    for call in _calls(tree):
        named = [*call.args, *(one.value for one in call.keywords if one.arg == "experiment_name")][:1]
        name = _literal(named[0]) if named and _called(call) == "set_experiment" else None
        if isinstance(name, str) and name:
            yield name


def _find_packages(tree: ast.Module, known: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules = [one.name for one in names]
            case ast.ImportFrom(module=str() as module, level=0):
                modules = [module]
            case _:
                continue
        for module in modules:
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in known:
                yield _DISTRIBUTIONS.get(top, top)


def _is_main(node: ast.stmt) -> bool:
    match node:
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
        case _:
            return False
