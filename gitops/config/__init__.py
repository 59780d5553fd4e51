"""What people write: launchpin.yaml, endpoint.yaml and MLproject, read by closed loaders into frozen values. Pure.

Whatever the bytes, a reader either returns its value or raises `InputError` with file, field, line, column and remedy.
"""
