"""Short names for records: sortable by creation, unique without asking anybody."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM = 6
_TIME = 9


def new_id(prefix: str) -> str:
    """Return a new id: a letter for the kind, the time in milliseconds, and 30 random bits.

    Only people read an order out of it; the order of work is the database's.
    """
    stamp = time.time_ns() // 1_000_000
    digits = ""
    for _ in range(_TIME):
        stamp, digit = divmod(stamp, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return f"{prefix}-{digits}{''.join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))}"
