"""Loads httpx without its command line, which wants click, rich and a highlighter of source code: 6 MB in a process.

Imported by whoever imports httpx into a process that stays, before that.
"""

from gitops.telemetry.lean import import_without

import_without("httpx._main", "httpx")
