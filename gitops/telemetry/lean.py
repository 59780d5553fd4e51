"""Imports a library without what it would take along and nobody here uses: megabytes in each small process."""

import importlib
import sys
import threading
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
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


def put_off(name: str, **places: str) -> None:
    """Load a package at the first look at anything in it; its modules can be imported without that.

    Whoever imports it gets the package itself, only later, so that nothing but the time is different. Call it while a
    process starts. A package that is loaded already stays, and one that is missing is missed where it is imported.

    Args:
        name: the package.
        places: in which of its modules a name of the package lies, which is then looked up there, without the package.
    """
    spec = None if name in sys.modules else _find(name)
    if spec is None:
        return
    package = module_from_spec(spec)
    package.__class__ = _later(spec, places)
    sys.modules[name] = package


def _find(name: str) -> ModuleSpec | None:
    """Find a package without importing those around it, which may be the ones that would take it along."""
    spec, path = None, None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:count]), path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec


def _later(spec: ModuleSpec, places: dict[str, str]) -> type[ModuleType]:
    """Return the class of one package that is not loaded yet; the package leaves it when it is."""
    lock = threading.RLock()
    begun: list[bool] = []

    class Later(ModuleType):
        def __getattr__(self, asked: str) -> object:
            if asked in places:
                return getattr(importlib.import_module(places[asked]), asked)
            # Python itself looks for some of those everywhere, and none of them is defined by running a package.
            if (asked.startswith("__") and asked != "__version__") or spec.loader is None:
                raise AttributeError(f"module {spec.name!r} has no attribute {asked!r}")
            with lock:
                if not begun:
                    begun.append(True)
                    try:
                        spec.loader.exec_module(self)
                    except BaseException:
                        begun.clear()
                        raise
                    self.__class__ = ModuleType  # type: ignore[assignment]  # a class that it leaves
            return ModuleType.__getattribute__(self, asked)

    return Later
