"""Every subject is known, whoever asks for it: a module of it that nobody has imported yet is found by its place."""

import pkgutil
from functools import cache
from importlib import import_module

import domain


@cache
def import_all() -> None:
    """Import every module of the domain, once: then all of its events, states and commands are defined."""
    for each in pkgutil.walk_packages(domain.__path__, f"{domain.__name__}."):
        import_module(each.name)
