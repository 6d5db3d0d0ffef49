"""Offices: for what a person acts."""

from .command import Model
from .state import State


class Offices(State):
    """What a person holds of one kind of office: each subject in which people act for something has one such state."""

    def held(self, model: Model, person: str) -> frozenset[str]:
        """The ids of what this person acts for now: an office that gives no power at the moment is not among them."""
        raise NotImplementedError
