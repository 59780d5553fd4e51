"""The schema's history; `env.py` is run by Alembic, and `versions/` holds one file for each step forward."""
