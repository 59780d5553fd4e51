"""Loads Celery without what it would use where it is installed, and never does here: 2 MB in each worker.

Messages are JSON, so no YAML is read by kombu; and nobody asks Celery how much memory it takes. Imported by whoever
imports Celery, before that.
"""

from gitops.telemetry.lean import import_without

import_without("yaml", "kombu.serialization")
import_without("psutil", "celery.utils.debug")
