"""The REST API under /api/v3: one file per kind of thing, each ending in its routes."""
