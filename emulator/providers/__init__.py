"""One file per wire format. A new one is a file here and nothing else: its class is found by being in it."""

import inspect
import pkgutil
from importlib import import_module

from emulator.providers.base import HttpProvider


def _found() -> dict[str, type[HttpProvider]]:
    classes = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for found in vars(import_module(module.name)).values():
            if inspect.isclass(found) and found.__module__ == module.name and issubclass(found, HttpProvider):
                classes[getattr(found, "name", "")] = found
    classes.pop("", None)  # HttpProvider itself
    return classes


#: Path prefix -> class.
HTTP: dict[str, type[HttpProvider]] = _found()

__all__ = ["HTTP"]
