"""What Celery runs: the relay, the tasks, and the process in which training code lives."""
