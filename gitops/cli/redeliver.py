"""`launchpin redeliver`: a webhook delivery is handled once more."""

from collections.abc import Mapping
from pathlib import Path

import click

from gitops.cli.asking import have_done, timeout_option
from gitops.cli.main import fail_unknown, json_option, stack_dir_option
from gitops.cli.suggest import deliveries, offers
from gitops.telling.library import Library, Reader

_SHOWN = 50


@click.command()
@click.argument("delivery", shell_complete=offers(deliveries))
@timeout_option
@stack_dir_option
@json_option
def redeliver(delivery: str, *, timeout: float, stack_dir: Path, as_json: bool) -> int:
    """Handle DELIVERY, by its GUID, once more: it wakes what it concerns, and trains no commit a second time.

    Its body must still be kept.
    """

    def look_up(store: Reader) -> Mapping[str, str]:
        if store.delivery(delivery.lower()) is None:
            fail_unknown("delivery", delivery, [one.id for one in Library(store).deliveries(_SHOWN)])
        return {"delivery": delivery.lower()}

    return have_done("redeliver", {}, stack_dir, timeout=timeout, as_json=as_json, look_up=look_up)
