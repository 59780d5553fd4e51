"""Processes of the embedded stack, reached by HTTP only: the supervisor, the forge and the endpoint host.

Nothing outside the command line and the tests imports this package.
"""
