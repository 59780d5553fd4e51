"""The Celery application: two queues, JSON only, no results, messages that carry a number and no more.

A message is a hint that jobs are ready. It may be lost, doubled or forged: the truth is in the database.
"""

import workers.lean_celery  # noqa: F401 - first: what it loads is not loaded again

# isort: split
from celery import Celery

from gitops.bootstrap import broker_url
from gitops.settings import Settings
from gitops.steps import Queue
from workers.hints import WAKE
from workers.transport import use_hints

__all__ = ["WAKE", "app"]

use_hints()
app = Celery("launchpin", include=["workers.tasks"])
app.conf.update(
    broker_url=broker_url(Settings()),
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_acks_late=False,
    task_default_queue=Queue.CONTROL,
    task_create_missing_queues=True,
    worker_consumer="workers.consumer:PatientConsumer",
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_connection_timeout=5,
    broker_transport_options={
        # A broker that answers nothing holds nobody up for longer; a silent connection is dropped within 21 s.
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
        # A publisher does not wait for a broker that is away: the relay comes back to it.
        "max_retries": 0,
        "interval_start": 0,
    },
)
