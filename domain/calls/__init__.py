"""Calls for proposals, and their rounds."""

from domain.calls import commands

__all__ = ["commands"]
