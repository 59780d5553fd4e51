"""Imports a library without another one that it would take along if it is there: megabytes in each small process."""

import importlib
import sys
from types import ModuleType
from typing import cast


def import_without(hidden: str, name: str) -> ModuleType:
    """Import a module as if another package were not installed; one that is loaded already stays.

    Call it while a process starts: for that moment no thread can import what is hidden.

    Args:
        hidden: a package that the module only takes along, and is told to do without where it is missing.
        name: the module.
    """
    is_hidden = hidden not in sys.modules
    if is_hidden:
        sys.modules[hidden] = cast("ModuleType", None)
    try:
        return importlib.import_module(name)
    finally:
        if is_hidden:
            del sys.modules[hidden]
