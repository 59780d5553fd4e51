"""The endpoint host: one process that owns the scorers of this machine and the way of every request to them.

A management API behind a token, a data plane without one. It keeps its own state file, so that it comes back after
its own death to scorers that never stopped answering.
"""
