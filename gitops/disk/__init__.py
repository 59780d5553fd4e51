"""Files and folders of this machine that come and go: locks on them, room for them, and their end.

Nothing is removed in its place: it is renamed first, so that whoever looks sees all of it or nothing.
"""
