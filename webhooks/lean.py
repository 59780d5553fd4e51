"""Loads FastAPI without what it keeps for models of the old pydantic and for a description of the API: 3 MB.

FastAPI asks at each answer whether it is an old model; nobody can have made one where the package is missing. And of
the models that describe an API those are built that are used: none, for ours is described in our pages. Imported by
the process that serves, before FastAPI.
"""

import importlib
import sys
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel

if TYPE_CHECKING:
    from types import ModuleType

sys.modules.setdefault("pydantic.v1", cast("ModuleType", None))
BaseModel.model_config["defer_build"] = True
try:
    importlib.import_module("fastapi")
finally:
    del BaseModel.model_config["defer_build"]
