"""Who an actor is: their roles in the hub, the organizations they act for, the calls they run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import msgspec

from domain.calls.state import CallOffices
from domain.core import (
    HUB,
    N_,
    Act,
    Command,
    Event,
    HubRole,
    Model,
    Reason,
    Refusal,
    Role,
    State,
    admit,
    check_ids,
    every_command,
    kind_named,
    meta_of,
    record_field,
    tagged_fields,
)
from domain.organizations.state import Offices, Organization, ties
from domain.people.state import Person


@dataclass(frozen=True)
class Standing:
    """An actor with everything that roles depend on; an office in an unverified organization gives no power."""

    id: str
    status: str = ""
    offices: frozenset[str] = frozenset()
    find_ties: Callable[[], frozenset[str]] = frozenset
    calls: frozenset[str] = frozenset()
    hub_roles: frozenset[tuple[str, str]] = frozenset()

    @property
    def ties(self) -> frozenset[str]:
        """The organizations over whose proposals this actor has no say."""
        return self.find_ties()

    @property
    def authority_of(self) -> frozenset[str]:
        """The countries whose national authority this actor is."""
        return frozenset(country for role, country in self.hub_roles if role == HubRole.NATIONAL_AUTHORITY)

    def roles(self, record: State | None) -> frozenset[Role]:
        """What this actor is in the hub and, where there is a record, to it."""
        if self.id == HUB:
            return frozenset({Role.HUB})
        roles = set(record.roles(self)) if record is not None and record.status else set()
        if self.status == "joined":
            roles.add(Role.ANYONE)
            if (HubRole.CENTER_OFFICER, "") in self.hub_roles:
                roles.add(Role.CENTER_OFFICER)
        else:
            roles &= {Role.SELF} if self.status == "invited" else set()
        return frozenset(roles)


def standing(model: Model, act: Act) -> Standing:
    """Who the actor is now; reading it makes it part of the command's consistency boundary."""
    if (actor := act.actor) == HUB:
        return Standing(HUB)
    person = model.get(Person, actor)
    offices = model.get(Offices, actor).organizations
    return Standing(
        id=actor,
        status=person.status,
        offices=frozenset(each for each in offices if model.get(Organization, each).status == "verified"),
        calls=model.get(CallOffices, actor).calls if person.of_the_center else frozenset(),
        hub_roles=person.hub_roles,
        # Only where somebody would judge: it depends on the day, and what does so is decided anew when that moves.
        find_ties=lambda: ties(model, act),
    )


OF_AN_OFFICE = frozenset({Role.OFFICER, Role.LEAD_OFFICER, Role.PARTNER_OFFICER})


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
    admit(command, record, roles)
    if record is not None:
        cls.bar(record, model, act)
    by_office = cls.office is not None and not roles & (cls.by - OF_AN_OFFICE | {Role.HUB})
    if cls.office is not None and by_office and getattr(command, cls.office) not in who.offices:
        raise Refusal(Reason.NOT_PERMITTED, N_("Only an officer of this organization can do this."), cls.office)
    for name, kind, many in tagged_fields(cls):
        value = getattr(command, name)
        for each in value if many else [value]:
            if not each or kind.name not in records() or name == record_field(cls):
                continue
            if not model.get(records()[kind.name], each).mentionable:
                raise Refusal(Reason.NOT_FOUND, N_("There is no such %(kind)s."), name, kind=kind.name)
    return list(command.decide(model, act))


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

    A command that would record nothing is left out. One that needs no more than the record (or, from a partner's
    officer, an organization of theirs) is tried, so that its refusal says what is missing.
    """
    if (state := records().get(kind_named(id))) is None:
        return []
    record, who = model.get(state, id), standing(model, act)
    roles, found = who.roles(record), []
    for cls in every_command():
        own = record_field(cls)
        if cls.on is not state or own is None or not roles & cls.by:
            continue
        if (cls.while_ is not None and record.status not in cls.while_) or cls.idle(record):
            continue
        needs = tuple(f.name for f in msgspec.structs.fields(cls) if f.required and f.name != own)
        others = _said(cls)
        if cls.by <= {Role.PARTNER_OFFICER} and others == ("organization",):
            tried = [cls(**{own: id, "organization": each}) for each in sorted(who.offices)]
        else:
            tried = [] if others else [cls(**{own: id})]
        if not tried:
            found.append(Action(cls, _barred(cls, record, model, act), needs, tuple(cls.fixed(record, model, act))))
            continue
        if barred := _barred(cls, record, model, act):
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


@cache
def _said(cls: type[Command]) -> tuple[str, ...]:
    # What a command says of its record; a hidden field tells no more than what its giver had read.
    each = msgspec.structs.fields(cls)
    return tuple(f.name for f in each if f.name != record_field(cls) and meta_of(f.type).get("widget") != "hidden")


def _barred(cls: type[Command], record: State, model: Model, act: Act) -> Refusal | None:
    try:
        cls.bar(record, model, act)
    except Refusal as refusal:
        return refusal
    return None
