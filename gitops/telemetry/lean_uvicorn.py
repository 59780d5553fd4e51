"""Loads uvicorn without its command line: 2 MB in a server that nobody types to.

Imported by whoever imports uvicorn, before that.
"""

from gitops.telemetry.lean import put_off

put_off("uvicorn", Config="uvicorn.config", Server="uvicorn.server")
