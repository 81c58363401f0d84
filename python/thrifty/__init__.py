"""The same answers for less compute, energy and bandwidth, and the proof that they stayed the same.

Each part is a package of its own: ``thrifty.rambo`` searches thousands of genomes or documents, ``thrifty.slide``
trains huge output layers on CPUs. Parts are imported at first use, so ``import thrifty`` costs nothing.
"""

from importlib import import_module
from types import ModuleType

__all__ = [
    "device",
    "errors",
    "exam",
    "models",
    "pairconnect",
    "pipeline",
    "rambo",
    "report",
    "scaling",
    "slide",
    "specdec",
    "stats",
    "throttle",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"thrifty.{name}")
    raise AttributeError(f"module 'thrifty' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
