"""`redeliver`: a delivery that is stored is handled once more, as if it came now.

It wakes what looks at Git itself, so that what was seen already begins nothing again. The delivery's own record stays
as it ended; what came of it this time is the command's.
"""

from gitops.arrivals import handle_delivery
from gitops.commands.naming import cause_of
from gitops.errors import RefusedError
from gitops.ports import Deps
from gitops.records import Command
from gitops.steps import Done, Outcome, Refused
from gitops.writes import Wake


def redeliver(deps: Deps, command: Command) -> Outcome:
    """Handle a delivery once more; one that nobody has handled yet is handled now."""
    guid = command.arguments["delivery"].lower()
    delivery = deps.store.delivery(guid)
    if delivery is None:
        raise RefusedError("UnknownDelivery", f"no delivery is called {guid!r}: the page Deliveries lists them")
    if not delivery.phase.is_final:
        waits = {"delivery": guid, "outcome": "waits", "woke": [f"delivery:{guid}"]}
        message = f"delivery {guid} was not handled yet: it is handled now"
        return Done(facts={"result": waits}, writes=(Wake("delivery", guid),), message=message)
    if not delivery.body:
        way_out = "launchpin train trains a branch's head; a deploy repository is looked at by itself"
        raise RefusedError("BodyRemoved", f"the body of delivery {guid} is not kept any more: {way_out}")
    # Nothing came from the forge, so that this says nothing of its webhook.
    handled = handle_delivery(deps, delivery.model_copy(update={"cause": cause_of(command)}), is_new=False)
    result: dict[str, object] = {"delivery": guid, **handled.facts}
    why = ": ".join(str(handled.facts[name]) for name in ("reason", "detail") if handled.facts[name])
    if handled.facts["outcome"] == "rejected":
        message = f"delivery {guid} is rejected again: {why}"
        return Refused("DeliveryRejected", message, facts={"result": result}, writes=handled.writes)
    woke = handled.facts["woke"]
    came = f"woke {', '.join(map(str, woke))}" if isinstance(woke, list) and woke else f"nothing is to be done: {why}"
    return Done(facts={"result": result}, writes=handled.writes, message=f"delivery {guid} was handled again: {came}")
