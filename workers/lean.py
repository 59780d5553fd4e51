"""Loads redis without OpenTelemetry's metrics and its asynchronous half, which it takes along: 4 MB in each process.

Imported by whoever imports redis, before that.
"""

from gitops.telemetry.lean import import_without, put_off

put_off("redis.asyncio")
import_without("opentelemetry", "redis")
