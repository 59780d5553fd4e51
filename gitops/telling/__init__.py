"""What the verbs that only read tell: the command line prints it with `--json`, the API answers it. Writes nothing.

`shapes` is what programs are told of records, `showing` makes it of them; the other files tell a verb each, or a few
that belong together, of what whoever asks may look at.
"""
