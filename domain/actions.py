"""What an actor may do about a record as it is: now, or as soon as something is no longer missing."""

from dataclasses import dataclass
from functools import cache

import msgspec

from domain.core import (
    NOT_HERE,
    Act,
    Command,
    Kind,
    Model,
    Refusal,
    State,
    every_command,
    kind_named,
    meta_of,
    record_field,
    tagged_fields,
)
from domain.deciding import decide, records
from domain.standing import standing


@dataclass(frozen=True)
class Action:
    """A command that an actor may give about a record: now, or as soon as ``refusal`` no longer holds.

    ``fixed`` are the fields that it cannot change of the record as it is.
    """

    command: type[Command]
    refusal: Refusal | None
    needs: tuple[str, ...]
    fixed: tuple[Refusal, ...] = ()


def may_make(model: Model, act: Act, cls: type[Command]) -> bool:
    """Whether the actor is somebody who may give a command that makes a new record."""
    return bool(standing(model, act).roles(None) & cls.by)


def actions(model: Model, act: Act, id: str) -> list[Action]:
    """What the actor may do with a record as it is; empty for who has no part in it.

    A command that would record nothing is left out. One that needs no more than the record (or, from an officer,
    the organization for which they speak) is tried, so that its refusal says what is missing.
    """
    if (state := records().get(kind_named(id))) is None:
        return []
    record, who = model.get(state, id), standing(model, act)
    roles, found = who.roles(record), []
    for cls in every_command():
        own = record_field(cls)
        if cls.on is not state or own is None or not roles & cls.by:
            continue
        if (cls.while_ is not None and record.status not in cls.while_) or cls.idle(record, who):
            continue
        needs = tuple(f.name for f in msgspec.structs.fields(cls) if f.required and f.name != own)
        others = _said(cls)
        if cls.office is not None and others == (cls.office,):
            tried = [cls(**{own: id, cls.office: each}) for each in who.acts_for(_office_of(cls))]
        else:
            tried = [] if others else [cls(**{own: id})]
        barred = _barred(cls, record, model, act)
        if barred is not None and barred.message == NOT_HERE:
            continue
        if not tried:
            fixed = tuple(cls.fixed(record, model, act))
            if not _left(cls, record, fixed):
                continue
            found.append(Action(cls, barred, needs, fixed))
            continue
        if barred:
            found.append(Action(cls, barred, needs))
            continue
        refusals: list[Refusal] = []
        does = False
        for command in tried:
            try:
                does = does or bool(decide(command, model, act))
            except Refusal as refusal:
                refusals.append(refusal)
        if does:
            found.append(Action(cls, None, needs))
        elif refusals and len(refusals) == len(tried) == 1:
            found.append(Action(cls, refusals[0], needs))
    return found


def _left(cls: type[Command], record: State, fixed: tuple[Refusal, ...]) -> bool:
    # Whether something of what it could change of a record is not fixed, where that is what it is for.
    changes = record.says().keys() & {f.name for f in msgspec.structs.fields(cls)}
    return not fixed or bool(changes - {each.field for each in fixed})


@cache
def _said(cls: type[Command]) -> tuple[str, ...]:
    # What a command says of its record; a hidden field tells no more than what its giver had read.
    each = msgspec.structs.fields(cls)
    return tuple(f.name for f in each if f.name != record_field(cls) and meta_of(f.type).get("widget") != "hidden")


@cache
def _office_of(cls: type[Command]) -> Kind:
    # Of what kind that is in whose name a command is given.
    return next(kind for name, kind, _ in tagged_fields(cls) if name == cls.office)


def _barred(cls: type[Command], record: State, model: Model, act: Act) -> Refusal | None:
    try:
        cls.bar(record, model, act)
    except Refusal as refusal:
        return refusal
    return None
