"""The Celery application: two queues, JSON only, no results, messages that carry a number and no more.

A message is a hint that jobs are ready. It may be lost, doubled or forged: the truth is in the database.
"""

from celery import Celery

from gitops.bootstrap import broker_url
from gitops.settings import Settings
from gitops.steps import Queue

WAKE = "launchpin.wake"

app = Celery("launchpin", include=["workers.tasks"])
app.conf.update(
    broker_url=broker_url(Settings()),
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_acks_late=False,
    task_default_queue=Queue.CONTROL,
    task_create_missing_queues=True,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"socket_keepalive": True, "health_check_interval": 10},
)
