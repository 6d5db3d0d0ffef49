"""The demonstration region: real organizations (ROR, CC0), invented people, calls and proposals in every status.

It is told as commands through the one door, so that telling it is itself a test of the whole. It is told as if over
the past five months; only an empty log is told it, and what is recorded afterwards has the time of its recording.
"""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from domain.call_results import PublishResults
from domain.calls.commands import CloseRound, DraftCall, OpenRound, PublishCall
from domain.calls.events import Criterion
from domain.core import HUB, Command, HubRole, stored_names
from domain.organizations.commands import VerifyOrganization
from domain.organizations.offices import AppointOfficer
from domain.people.affiliations import ConfirmAffiliation, DeclareAffiliation
from domain.people.commands import GrantRole, InvitePerson, JoinHub
from domain.people.events import AffiliationDeclared
from domain.proposals.commands import AssessRisk, DraftProposal, SubmitProposal
from domain.proposals.decisions import (
    AcceptAward,
    ConfirmEligibility,
    DeclineProposal,
    FindIneligible,
    OfferAward,
    RecommendProposal,
    ReturnProposal,
    WithdrawProposal,
)
from domain.proposals.partners import ConfirmPartner, InvitePartner
from hub import ror
from hub.door import Hub
from hub.identity import READ
from projections.core import AUDITORS

BEGAN = timedelta(days=-160)
_HERE = Path(__file__).parent


TELLER = "demonstration"
"""What gives the commands of the demonstration: by it the log says whose region this is."""


class NotEmpty(Exception):
    """The log holds something already: the demonstration is told to an empty hub only."""


def _data(name: str) -> Any:
    return json.loads((_HERE / f"{name}.json").read_text())


class Teller:
    """Tells the region at its own pace: every command a moment after the one before it."""

    def __init__(self, hub: Hub, now: datetime) -> None:
        self.hub, self.now = hub, now
        self.at = now + BEGAN
        self.organizations: dict[str, str] = {}
        self.people: dict[str, str] = {}
        self.calls: dict[str, str] = {}
        self.officers: dict[str, str] = {}

    def day(self, days: float) -> None:
        """Go on at this many days from now, never backwards."""
        self.at = max(self.at, self.now + timedelta(days=days))

    async def do(self, command: Command, actor: str = HUB) -> str:
        """Give a command; answers its record."""
        self.at += timedelta(minutes=7)
        receipt = await self.hub.do(command, actor, at=min(self.at, self.now), by=TELLER)
        assert receipt.record is not None
        return receipt.record


async def is_told(hub: Hub) -> bool:
    """Whether this hub's log begins with the demonstration."""
    first = await hub.log.pool.fetchval("SELECT request FROM hub.event WHERE position = 1")
    return (first or "").startswith(TELLER)


async def tell(hub: Hub) -> int:
    """Tell the whole region; answers the number of events. Raises ``NotEmpty``."""
    if await hub.log.head():
        raise NotEmpty
    teller = Teller(hub, datetime.now(UTC).replace(microsecond=0))
    await _organizations(teller)
    await _people(teller)
    for call in _data("calls"):
        await _call(teller, call)
    proposals = _data("proposals")
    for call in _data("calls"):
        if call["opens"] < 0:
            teller.day(call["opens"])
            await teller.do(OpenRound(call=teller.calls[call["key"]]), HUB)
        in_call = [each for each in proposals if each["call"] == call["key"]]
        begun = [(each, await _draft(teller, each)) for each in in_call]
        closing = min(call["closes"], -1)
        for each, id in begun:
            await _submit(teller, each, id)
        if call["closes"] < 0:
            teller.day(closing)
            await teller.do(CloseRound(call=teller.calls[call["key"]]), HUB)
        for each, id in begun:
            await _decide(teller, each, id)
        if call["closes"] < 0:
            await teller.do(PublishResults(call=teller.calls[call["key"]]), teller.people["rahimova"])
    return await hub.log.head()


async def _organizations(teller: Teller) -> None:
    for _, command in ror.commands(_data("organizations")):
        if isinstance(command, ValueError):
            raise command
        teller.organizations[command.ror] = await teller.do(command)


async def _people(teller: Teller) -> None:
    told = _data("people")
    for each in told:
        invite = InvitePerson(name=each["name"], email=f"{each['key']}@hub.example", language=each["language"])
        person = teller.people[each["key"]] = await teller.do(invite)
        await teller.do(JoinHub(person=person), person)
        if each["role"]:
            await teller.do(GrantRole(person=person, role=HubRole(each["role"])))
    officer = teller.people["rahimova"]
    verifier = teller.people["ibragimov"]
    for id in teller.organizations.values():
        await teller.do(VerifyOrganization(organization=id), officer)
    for each in told:
        person = teller.people[each["key"]]
        for ror_id in each["acts_for"]:
            organization = teller.organizations[ror_id]
            # Nobody appoints themselves.
            appoint = AppointOfficer(organization=organization, person=person)
            await teller.do(appoint, officer if person == verifier else verifier)
            teller.officers[ror_id] = person
    for each in told:
        person, organization = teller.people[each["key"]], teller.organizations[each["works_at"]]
        since = date(2015 + len(each["key"]), 9, 1)
        await teller.do(
            DeclareAffiliation(person=person, organization=organization, position=each["position"], since=since), person
        )
        by = teller.officers.get(each["works_at"])
        if by and by != person:
            affiliation = await _affiliation(teller, person)
            confirm = ConfirmAffiliation(person=person, affiliation=affiliation, organization=organization)
            await teller.do(confirm, by)
    for each in told:
        if waits := each.get("proposed"):
            # By one officer of the Center: it waits for the other one.
            proposed = GrantRole(
                person=teller.people[each["key"]], role=HubRole(waits["role"]), country=waits["country"]
            )
            await teller.do(proposed, officer)


async def _affiliation(teller: Teller, person: str) -> str:
    found = await teller.hub.log.read(tag=person, types=stored_names(AffiliationDeclared))
    return str(found[-1].event.affiliation)  # type: ignore[attr-defined]


async def _call(teller: Teller, call: dict[str, Any]) -> None:
    officer = teller.people["rahimova"]
    draft = DraftCall(
        title=call["title"],
        summary=call["summary"],
        opens_at=teller.now + timedelta(days=call["opens"]),
        closes_at=teller.now + timedelta(days=call["closes"]),
        criteria=tuple(Criterion(name, weight) for name, weight in call["criteria"]),
    )
    id = teller.calls[call["key"]] = await teller.do(draft, officer)
    await teller.do(PublishCall(call=id), officer)


async def _draft(teller: Teller, told: dict[str, Any]) -> str:
    author = teller.people[told["investigator"]]
    lead = teller.organizations[told["lead"]]
    draft = DraftProposal(call=teller.calls[told["call"]], lead=lead, title=told["title"], abstract=told["abstract"])
    id = await teller.do(draft, author)
    for n, partner in enumerate(told["partners"]):
        contribution = ("Field data and their description", "Models and their evaluation", "Computing time")[n % 3]
        asked = InvitePartner(proposal=id, organization=teller.organizations[partner], contribution=contribution)
        await teller.do(asked, author)
    return id


async def _submit(teller: Teller, told: dict[str, Any], id: str) -> None:
    author = teller.people[told["investigator"]]
    if told["status"] == "draft":
        # One has a first confirmation and still waits for the second.
        if len(told["partners"]) > 1 and told["call"] == "health":
            await _confirm(teller, id, told["partners"][0])
        return
    for partner in told["partners"]:
        await _confirm(teller, id, partner)
    risk = AssessRisk(
        proposal=id,
        level="limited",
        personal_data=told["call"] == "health",
        harms="People could rely on a wrong forecast or a wrong finding where nobody looks twice.",
        safeguards="Every result carries its uncertainty, and a specialist decides; errors are counted by group.",
    )
    await teller.do(risk, author)
    await teller.do(SubmitProposal(proposal=id), author)


async def _confirm(teller: Teller, id: str, partner: str) -> None:
    confirm = ConfirmPartner(proposal=id, organization=teller.organizations[partner])
    await teller.do(confirm, teller.officers[partner])


async def _decide(teller: Teller, told: dict[str, Any], id: str) -> None:
    officer, status = teller.people["rahimova"], told["status"]
    if status in ("draft", "submitted"):
        return
    author = teller.people[told["investigator"]]
    if status == "withdrawn":
        reason = "The partner's observatory closes this year; we apply again when the data can be measured."
        await teller.do(WithdrawProposal(proposal=id, reason=reason), author)
        return
    if status == "ineligible":
        reason = "The partner named in the proposal does not take part in measuring; the call asks for joint work."
        await teller.do(FindIneligible(proposal=id, reason=reason), officer)
        return
    if status == "returned":
        until = teller.now + timedelta(days=14)
        reason = "Please say how long the sales data are kept, and who decides about a warning."
        await teller.do(ReturnProposal(proposal=id, reason=reason, until=until), officer)
        return
    await teller.do(ConfirmEligibility(proposal=id), officer)
    if status == "in_review":
        return
    if status == "declined":
        reason = "The reviewers value the aim; the comparison with existing methods is missing."
        await teller.do(DeclineProposal(proposal=id, reason=reason), officer)
        return
    await teller.do(RecommendProposal(proposal=id), officer)
    await teller.do(OfferAward(proposal=id), officer)
    if status == "awarded":
        await teller.do(AcceptAward(proposal=id), teller.officers[told["lead"]])


async def auditors_token(hub: Hub) -> str | None:
    """A token of the region's auditor, for a day; ``None`` where there is none any more."""
    person = await hub.log.pool.fetchval(
        f"""SELECT person FROM {hub.models.schema}.role r JOIN {hub.models.schema}.person p ON p.id = r.person
            WHERE r.principal = $1 AND p.status = 'joined' ORDER BY person LIMIT 1""",
        AUDITORS,
    )
    return person and await hub.identity.token(person, [READ], "hub-audit", 1)


__all__ = ["NotEmpty", "auditors_token", "is_told", "tell"]
