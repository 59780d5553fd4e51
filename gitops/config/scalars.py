"""Plain scalars of YAML's core schema, numbers kept as decimals exactly as written. Pure.

Source: YAML 1.2.2, 10.3.2 (tag resolution). `on`, `yes`, `1:30` and `1_0` are texts there, `010` is ten.
"""

import re
from decimal import Decimal, InvalidOperation

Plain = str | int | Decimal | bool | None

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_DIGITS = 60  # characters of a number; a double needs 24
_MAX_EXPONENT = 400  # beyond every double; keeps exact arithmetic small


class UnreadableScalarError(ValueError):
    """A plain scalar has no value here.

    Args:
        reason: the stable code.
        message: what is wrong and what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def resolve(text: str) -> Plain:
    """Return what a plain scalar means in the core schema.

    Raises:
        UnreadableScalarError: for `.nan`, `.inf` and numbers that are too long.
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _NOT_FINITE.fullmatch(text):
        raise UnreadableScalarError("yaml_not_finite", "a number must be finite; write a decimal, or quote a text")
    if _INT.fullmatch(text):
        return int(_limited(text))
    if _BASED.fullmatch(text):
        return int(_limited(text), 0)
    return read_decimal(text) if _FLOAT.fullmatch(text) else text


def read_decimal(text: str) -> Decimal:
    """Return the decimal that a text writes, digit by digit.

    Raises:
        UnreadableScalarError: when it is none, or too long or too large.
    """
    if not _FLOAT.fullmatch(_limited(text)):
        raise UnreadableScalarError("yaml_number", "write a decimal number such as 0.9")
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of many digits
        number = Decimal("Infinity")
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or max(abs(exponent), abs(number.adjusted())) > _MAX_EXPONENT:
        raise UnreadableScalarError("yaml_number", f"a number's exponent may be at most {_MAX_EXPONENT}")
    return number


def _limited(text: str) -> str:
    if len(text) > _MAX_DIGITS:
        message = f"a number may have at most {_MAX_DIGITS} characters; write fewer digits, or quote a text"
        raise UnreadableScalarError("yaml_number", message)
    return text
