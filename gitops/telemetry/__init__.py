"""What processes say about themselves: log records, traces, counts of steps. Nothing here decides anything.

Importing these modules costs nothing beyond the standard library; what a process switches on it imports then.
"""
