"""Loads redis without OpenTelemetry's metrics, which it takes along where they are installed: 3 MB in each process.

Imported by whoever imports redis, before that.
"""

from gitops.telemetry.lean import import_without

import_without("opentelemetry", "redis")
