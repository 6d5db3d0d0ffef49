"""Deciding a command: its whitelists and ids first, then what it says happens."""

from functools import cache

from domain.core import (
    N_,
    Act,
    Command,
    Event,
    Model,
    Reason,
    Refusal,
    Role,
    State,
    Word,
    admit,
    check_ids,
    every_command,
    record_field,
    tagged_fields,
)
from domain.standing import Standing, standing

_OF_AN_OFFICE = frozenset({Role.OFFICER, Role.LEAD_OFFICER, Role.PARTNER_OFFICER})


@cache
def records() -> dict[str, type[State]]:
    """The state that stands for a record of each kind."""
    return {cls.on.kind.name: cls.on for cls in every_command()}


def decide(command: Command, model: Model, act: Act) -> list[Event]:
    """The events that a command records, after the whitelists and the ids; raises ``Refusal``.

    Whatever else a command mentions has to exist. A refusal never depends on whether a record exists that the
    actor has no part in, but where there can be only one of something: who invites or links learns that it is taken.
    """
    cls = type(command)
    check_ids(command)
    who = standing(model, act)
    record = model.get(cls.on, command.record) if command.record is not None else None
    roles = who.roles(record)
    if kept_from(cls, record, who, roles):
        raise conflict()
    admit(command, record, roles)
    if record is not None and record.status == cls.done:
        return []
    if record is not None:
        cls.bar(record, model, act)
    if _not_theirs(command, roles, who.offices):
        raise Refusal(Reason.NOT_PERMITTED, N_("Only an officer of this organization can do this."), cls.office)
    for name, kind, many in tagged_fields(cls):
        value = getattr(command, name)
        for each in value if many else [value]:
            if not each or kind.name not in records() or name == record_field(cls) or name in cls.seeks:
                continue
            if not model.get(records()[kind.name], each).mentionable:
                raise Refusal(Reason.NOT_FOUND, N_("There is no such %(kind)s."), name, kind=Word(kind.name))
    return list(command.decide(model, act))


def kept_from(cls: type[Command], record: State | None, who: Standing, roles: frozenset[Role]) -> bool:
    """Whether a conflict of interest, and nothing else, keeps a command about a record from an actor of these roles."""
    if record is None or not record.status or Role.ANYONE not in roles or roles & cls.by:
        return False
    return bool(cls.by & {*record.kept_from(who)})


def conflict() -> Refusal:
    """What whoever has a conflict of interest is told."""
    message = N_(
        "You have a conflict of interest: this is yours, or you act or acted for an organization that takes part, or "
        "worked there within three years. Another officer does this."
    )
    return Refusal(Reason.OWN_ORGANIZATION, message)


def _not_theirs(command: Command, roles: frozenset[Role], offices: frozenset[str]) -> bool:
    # Whoever has no other right to this than their office speaks for the organization that it names, and for no other.
    name, others = type(command).office, type(command).by - _OF_AN_OFFICE
    return name is not None and not roles & {*others, Role.HUB} and getattr(command, name) not in offices
