"""Writes the parts of the reference that the code knows: `make docs`. A test compares; what people wrote stays."""
