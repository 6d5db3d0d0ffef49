"""Every subject is known, whoever asks for it: a module that nobody has imported yet is found by its place."""

import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TypeVar

import domain

C = TypeVar("C")


@cache
def import_all(package: ModuleType = domain) -> None:
    """Import every module of a package, once: then all that is registered by its class is defined."""
    for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        import_module(each.name)


def subclasses(base: type[C], package: ModuleType = domain) -> Iterator[type[C]]:
    """The classes of a package that build on this one, whoever imported them first: those of each subject as they stand
    in its modules, then those that span several subjects.
    """
    import_all(package)
    yield from sorted(_below(base), key=lambda cls: (cls.__module__.count(".") == 1, cls.__module__))


def _below(base: type[C]) -> Iterator[type[C]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _below(cls)
