"""The logs of the embedded parts that need no settings: forge and endpoint host stay small without `bootstrap`."""

from gitops.telemetry.logs import set_up_logs
from gitops.trainers.redaction import Redactor, show_controls


def begin_logs(part: str, *secrets: str) -> None:
    """Set up a part's logs.

    Args:
        part: `forge` or `endpoints`.
        secrets: what is masked in them, beside well-known tokens.
    """
    set_up_logs(part, mask=Redactor(secrets).mask, spell=show_controls)
