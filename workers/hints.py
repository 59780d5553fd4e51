"""What a message is: a hint that a queue has work, in the form that Celery's Redis transport carries.

Written by the relay, read strictly by workers before Celery sees it, because who reaches the broker can put anything
there. What is handed on is made anew from the job's number and two ids; nothing else of a message is believed. Pure.
"""

import base64
import json
import uuid
from dataclasses import dataclass

from gitops.errors import InputError

WAKE = "launchpin.wake"
"""The one task there is."""

_LONGEST = 4096
_LARGEST_JOB = 2**63 - 1
_NOTHING = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_FORM = {"content-type": "application/json", "content-encoding": "utf-8"}


@dataclass(frozen=True)
class Hint:
    """One message.

    Args:
        job: the number of a job that was ready; whoever is woken takes the oldest one.
        message_id: names the message in logs, a UUID.
        tag: names it between broker and worker, a UUID.
    """

    queue: str
    job: int
    message_id: str
    tag: str

    def to_message(self) -> dict[str, object]:
        """Return the message as kombu parses it: https://docs.celeryq.dev/en/stable/internals/protocol.html."""
        body = json.dumps([[self.queue, self.job], {}, _NOTHING]).encode()
        return {
            **_FORM,
            "body": base64.b64encode(body).decode(),
            "headers": {
                "lang": "py",
                "task": WAKE,
                "id": self.message_id,
                "root_id": self.message_id,
                "parent_id": None,
                "group": None,
                "eta": None,
                "expires": None,
                "retries": 0,
                "timelimit": [None, None],
                "ignore_result": True,
                "argsrepr": f"({self.queue!r}, {self.job})",
            },
            "properties": {
                "correlation_id": self.message_id,
                "delivery_tag": self.tag,
                "delivery_mode": 2,
                "priority": 0,
                "delivery_info": {"exchange": "", "routing_key": self.queue},
                "body_encoding": "base64",
            },
        }


def write_hint(queue: str, job: int) -> str:
    """Return a new message's text."""
    return json.dumps(Hint(queue, job, str(uuid.uuid4()), str(uuid.uuid4())).to_message())


def read_hint(message: object, queue: str) -> Hint:
    """Return what a message says.

    Args:
        message: as it was parsed from the broker.
        queue: where it lay.

    Raises:
        InputError: `bad_hint` when it is anything but a wake of that queue.
    """
    if not isinstance(message, dict):
        raise _bad("it is no object")
    properties, headers = message.get("properties"), message.get("headers")
    if not isinstance(properties, dict) or not isinstance(headers, dict):
        raise _bad("it has no properties or no headers")
    if headers.get("task") != WAKE:
        raise _bad(f"it is for the task {headers.get('task')!r:.80}")
    if any(message.get(name) != value for name, value in _FORM.items()) or properties.get("body_encoding") != "base64":
        raise _bad(f"its content is {message.get('content-type')!r:.80}")
    job = _read_job(message.get("body"), queue)
    return Hint(queue, job, _read_id(headers.get("id")), _read_id(properties.get("delivery_tag")))


def _read_id(text: object) -> str:
    try:
        return str(uuid.UUID(str(text)))
    except ValueError as error:
        raise _bad("an id of it is none") from error


def _read_job(body: object, queue: str) -> int:
    if not isinstance(body, str) or len(body) > _LONGEST:
        raise _bad("its body is no short text")
    try:
        (named, job), options, _ = json.loads(base64.b64decode(body, validate=True))
    except (ValueError, TypeError, RecursionError) as error:
        raise _bad("its body is not what a wake carries") from error
    if options != {} or named != queue:
        raise _bad(f"it names the queue {named!r:.40} and lay in {queue}")
    if type(job) is not int or not 0 < job <= _LARGEST_JOB:
        raise _bad("its job is no number")
    return job


def _bad(why: str) -> InputError:
    return InputError("bad_hint", f"a message was dropped: {why}")
