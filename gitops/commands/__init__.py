"""What people ask for, carried out by a worker: each verb is a row that says who asked, and how it ended.

Every verb may be asked for twice without harm. `story` has the table and the steps, the other files a verb each, or a
few that belong together.
"""

from gitops.commands.story import COMMAND

__all__ = ["COMMAND"]
