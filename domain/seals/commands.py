"""Sealing the read models."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.core import N_, Act, Command, Event, Model, Reason, Refusal, Role
from domain.seals.events import ReadModelSealed
from domain.seals.state import Seal

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class SealedModel(msgspec.Struct, frozen=True):
    """One read model, as it is sealed."""

    name: str
    rows: int
    root: Hash


class SealReadModels(Command, on=Seal, by=Role.HUB):
    """Record what the read models are at a position."""

    code: Hash
    position: int
    models: tuple[SealedModel, ...]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """One event for each read model."""
        if len({each.name for each in self.models}) < len(self.models):
            raise Refusal(Reason.INVALID, N_("Each read model is sealed once."), "models")
        for each in self.models:
            yield ReadModelSealed(
                seal=act.new("seal"),
                name=each.name,
                code=self.code,
                position=self.position,
                rows=each.rows,
                root=each.root,
            )
