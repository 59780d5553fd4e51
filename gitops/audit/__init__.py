"""The audit trail's rules: entry bytes, the Merkle tree, signed heads, bundles, and what served when.

Nothing here talks to a database or a network; only `bundle` touches files.
"""
