"""The supervisor of the embedded stack: one folder, and every process that lives in it.

Other processes read what it does from `stack.json`; nothing but the folder's lock says who may supervise.
"""
