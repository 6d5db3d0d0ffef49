"""Seals of read models: what they were at a position, recorded as events, so that witnesses cover it.

A seal's ``root`` is the RFC 6962 root over the model's rows in the order of their keys, each in canonical JSON (RFC
8785); its ``code`` is the digest of the folds that made them.
"""

from collections.abc import Iterator
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from domain.core import N_, Act, Command, Event, Kind, Model, Reason, Refusal, Role, SealId, State

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class ReadModelSealed(Event):
    """A read model was sealed as it stood at a position."""

    seal: SealId
    name: str
    code: str
    position: int
    rows: int
    root: str


class Seal(State, kind=Kind("seal"), on=(ReadModelSealed,)):
    """A seal that was recorded."""

    def evolve(self, event: Event) -> Self:
        """It stays as it is."""
        match event:
            case ReadModelSealed():
                return msgspec.structs.replace(self, id=event.seal, status="recorded")
        return self


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
