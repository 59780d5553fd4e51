import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gitops.ports import QueueDepth
from gitops.steps import Queue
from workers.broker import Seen
from workers.publisher import MOST, Publisher

HOUR = 3600


@dataclass
class Lists:
    """A broker's queues in memory, and how much was ever put there."""

    queues: dict[Queue, list[int]] = field(default_factory=lambda: {queue: [] for queue in Queue})
    is_empty: bool = True
    sent: list[int] = field(default_factory=list)

    def look(self) -> Seen:
        forgot, self.is_empty = self.is_empty, False
        return Seen(forgot, {queue: len(jobs) for queue, jobs in self.queues.items()})

    def publish(self, queue: Queue, jobs: Sequence[int]) -> None:
        self.queues[queue].extend(jobs)
        self.sent.extend(jobs)

    def trim(self, queue: Queue, keep: int) -> None:
        del self.queues[queue][keep:]

    def flush(self) -> None:
        self.queues = {queue: [] for queue in Queue}
        self.is_empty = True


def depth(
    ready: int, *, oldest: float = 0.0, first: int = 1, epoch: int = 1, queue: Queue = Queue.TRAINING
) -> QueueDepth:
    jobs = tuple((job, epoch) for job in range(first, first + min(ready, MOST)))
    return QueueDepth(queue, oldest, jobs)


def waiting(lists: Lists) -> int:
    return len(lists.queues[Queue.TRAINING])


def test_each_time_of_being_ready_is_told_once() -> None:
    lists = Lists()
    publisher = Publisher(lists)
    for second in range(100):
        publisher.tell([depth(3)], float(second))
    publisher.tell([depth(4)], 100.0)
    assert lists.sent == [1, 2, 3, 4]


def test_a_job_that_is_ready_anew_is_told_anew() -> None:
    lists = Lists()
    publisher = Publisher(lists)
    publisher.tell([depth(1)], 0.0)
    lists.queues[Queue.TRAINING].clear()
    publisher.tell([depth(1, epoch=2)], 0.01)
    assert lists.sent == [1, 1]


def test_i06_everything_is_told_again_when_the_broker_forgot_it() -> None:
    lists = Lists()
    publisher = Publisher(lists)
    publisher.tell([depth(5)], 0.0)
    lists.flush()
    publisher.tell([depth(5)], 0.01)
    assert waiting(lists) == 5


def test_i06_200_jobs_that_wait_an_hour_for_busy_workers_cost_64_messages() -> None:
    lists = Lists()
    publisher = Publisher(lists)
    for second in range(HOUR):
        publisher.tell([depth(200, oldest=float(second))], float(second))
        assert waiting(lists) <= MOST
    assert len(lists.sent) == MOST


def test_i06_200_jobs_cost_under_500_messages_an_hour_when_workers_take_hints_and_claim_nothing() -> None:
    lists = Lists()
    publisher = Publisher(lists)
    for tenth in range(HOUR * 10):
        publisher.tell([depth(200, oldest=tenth / 10)], tenth / 10)
        lists.queues[Queue.TRAINING].clear()
    assert len(lists.sent) < 500


def test_i06_two_starved_queues_share_fewer_than_500_messages_an_hour_in_turns() -> None:
    lists = Lists()
    publisher = Publisher(lists)
    sent: Counter[Queue] = Counter()
    late: list[Queue] = []
    for tenth in range(HOUR * 10):
        oldest = tenth / 10
        publisher.tell([depth(100, oldest=oldest, queue=queue) for queue in Queue], oldest)
        for queue, jobs in lists.queues.items():
            sent[queue] += len(jobs)
            late += [queue] * len(jobs) if oldest > HOUR / 2 else []
            jobs.clear()
    assert len(lists.sent) < 500
    assert max(sent.values()) - min(sent.values()) <= 1
    assert all(one != other for one, other in itertools.pairwise(late))


def test_i06_a_job_whose_hint_was_lost_with_its_worker_is_told_again_within_six_seconds() -> None:
    lists = Lists()
    publisher = Publisher(lists)
    publisher.tell([depth(1)], 0.0)
    lists.queues[Queue.TRAINING].clear()
    for second in range(1, 7):
        publisher.tell([depth(1, oldest=float(second))], float(second))
    assert lists.sent == [1, 1]


def test_a_queue_that_holds_hints_is_told_nothing_again_however_old_its_jobs_are() -> None:
    lists = Lists()
    publisher = Publisher(lists)
    publisher.tell([depth(2)], 0.0)
    lists.queues[Queue.TRAINING].pop()
    for second in range(HOUR):
        publisher.tell([depth(2, oldest=float(second))], float(second))
    assert lists.sent == [1, 2]


def test_hints_never_exceed_ready_jobs_while_one_worker_goes_from_job_to_job() -> None:
    lists = Lists()
    publisher = Publisher(lists)
    for done in range(150):
        publisher.tell([depth(150 - done, first=done + 1)], done * 0.1)
        assert 0 < waiting(lists) <= 150 - done
    publisher.tell([], 20.0)
    assert waiting(lists) == 0
