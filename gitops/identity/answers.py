"""What a browser brings back from a provider (RFC 6749, 4.1.2; RFC 9207): a code, or why there is none. Pure."""

import re
from collections.abc import Collection, Mapping

from gitops.errors import RefusedError

_ERROR = re.compile(r"[a-z_]{1,60}")
_CODE = re.compile(r"[\x20-\x7e]{1,2048}")


def read_code(
    unverified_answer: Mapping[str, str], label: str, *, issuers: Collection[str], is_issuer_needed: bool = False
) -> str:
    """Return the code.

    Args:
        label: what people call the provider.
        issuers: what it may call itself in an answer.
        is_issuer_needed: whether it says that it always does.

    Raises:
        RefusedError: `sign_in_denied` for what is no code, or is another provider's answer (a mix-up: the code would be
            given to the wrong one).
    """
    issuer = unverified_answer.get("iss")
    if issuer not in issuers and (issuer is not None or is_issuer_needed):
        raise _denied(f"This answer is not {label}'s")
    if "error" in unverified_answer:
        error = unverified_answer["error"]
        raise _denied(f"{label} did not sign you in ({error if _ERROR.fullmatch(error) else 'it says no more'})")
    code = unverified_answer.get("code", "")
    if not _CODE.fullmatch(code):
        raise _denied(f"{label} sent you back without a code")
    return code


def used_code(label: str) -> RefusedError:
    """Return the error of a code that the provider does not take."""
    return _denied(f"{label} does not take the code that it gave: it was used before, or is too old")


def _denied(what: str) -> RefusedError:
    return RefusedError("sign_in_denied", f"{what}. Sign in once more.")
