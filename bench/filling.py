"""A large hub, written straight into an empty log: what was told there is what commands would have recorded."""

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncpg

from domain.calls.events import CallDrafted, CallPublished, Criterion, RoundOpened
from domain.core import Codec, Event, HubRole, Sealed
from domain.organizations.events import OfficerAppointed, OrganizationImported, OrganizationVerified, Place
from domain.people.events import PersonInvited, PersonJoined, RoleGranted
from domain.proposals.events import (
    PartnerConfirmed,
    PartnerInvited,
    ProposalDrafted,
    ProposalRevised,
    ProposalSubmitted,
    RiskAssessed,
)
from hub.act import new_id
from hub.log import make_databases, prepare

TEXT = (
    "glacier river snow water forecast model language speech corpus health clinic seismic sensor satellite crop soil "
    "cotton wheat energy grid solar wind city air dust school teacher exam archive manuscript script translation "
    "пиряхҳо об забон саломатӣ зилзила кишоварзӣ энергия мактаб суу мөңгү тил ден соолук су мұздық тіл денсаулық "
    "muzlik suv til sogʻliq zilzila paxta suw dil saglyk method open measurement uncertainty evaluation partner region"
)
ENDINGS = [a + b for a in "aeiou" for b in ("", "r", "n", "l", "s", "t")]
WORDS = [word + ending for word in TEXT.split() for ending in ("", *ENDINGS, *(each + "lar" for each in ENDINGS))]
COUNTRIES = ("TJ", "KG", "KZ", "UZ", "TM")
ORGANIZATIONS, PEOPLE, CALLS, OWN = 60, 200, 5, 10
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def _sealed(value: str) -> Sealed:
    return Sealed(hashlib.sha256(value.encode()).hexdigest(), len(value), "bench")


class Filling:
    """The events of a hub with so many proposals: ten an each, submitted, with three partners of other countries."""

    def __init__(self, proposals: int) -> None:
        self._count, self._chance = proposals, random.Random(7)
        self.organizations = [new_id("organization") for _ in range(ORGANIZATIONS)]
        self.people = [new_id("person") for _ in range(PEOPLE)]
        self.calls = [new_id("call") for _ in range(CALLS)]
        self.proposals: list[str] = []

    @property
    def officer(self) -> str:
        """Who runs the calls, and so reads everything that was submitted."""
        return self.people[0]

    def text(self, words: int) -> str:
        """So many words of the region's languages."""
        return " ".join(self._chance.choices(WORDS, k=words)).capitalize()

    def events(self) -> Iterator[tuple[str, Event]]:
        """Every event with its actor, in order."""
        for n, id in enumerate(self.people):
            invited = PersonInvited(person=id, name=_sealed(id), email=_sealed(id), email_alias=f"bench-{n}")
            yield "hub", invited
            yield id, PersonJoined(person=id)
        yield "hub", RoleGranted(person=self.officer, role=HubRole.CENTER_OFFICER)
        for n, id in enumerate(self.organizations):
            place = Place("City", COUNTRIES[n % 5], 40.0 + n / 10, 60.0 + n / 10)
            yield (
                "hub",
                OrganizationImported(
                    organization=id,
                    name=f"University {n}",
                    names={},
                    kind="university",
                    place=place,
                    ror=f"bench{n:04}",
                ),
            )
            yield self.officer, OrganizationVerified(organization=id)
            yield self.officer, OfficerAppointed(organization=id, person=self.people[1 + n])
        for n, id in enumerate(self.calls):
            yield (
                self.officer,
                CallDrafted(
                    call=id,
                    officer=self.officer,
                    title=f"Call {n}",
                    summary=self.text(80),
                    opens_at=BEGAN,
                    closes_at=BEGAN + timedelta(days=700 + n),
                    criteria=(Criterion("Excellence", 60), Criterion("Impact", 40)),
                    quorum=3,
                    blindness="single_blind",
                    countries=2,
                    conflict_years=3,
                ),
            )
            yield self.officer, CallPublished(call=id)
            yield self.officer, RoundOpened(call=id)
        for n in range(self._count):
            # One author has the same ten in a hub of any size, so that a page of theirs shows the same in all.
            own = n >= self._count - OWN
            yield from self._proposal(self.people[-1] if own else self._chance.choice(self.people[1:-1]))

    def _proposal(self, author: str) -> Iterator[tuple[str, Event]]:
        id = new_id("proposal")
        lead, *partners = self._chance.sample(self.organizations, 4)
        call = self._chance.choice(self.calls)
        self.proposals.append(id)
        yield (
            author,
            ProposalDrafted(
                proposal=id, call=call, lead=lead, investigator=author, title=self.text(7), abstract=self.text(90)
            ),
        )
        yield author, ProposalRevised(proposal=id, abstract=self.text(90))
        yield (
            author,
            RiskAssessed(
                proposal=id, level="limited", personal_data=False, harms=self.text(12), safeguards=self.text(12)
            ),
        )
        for each in partners:
            country = COUNTRIES[self.organizations.index(each) % 5]
            yield author, PartnerInvited(proposal=id, organization=each, contribution=self.text(6), country=country)
            yield (
                self.people[1 + self.organizations.index(each)],
                PartnerConfirmed(proposal=id, organization=each, revision=2),
            )
        yield (
            author,
            ProposalSubmitted(proposal=id, version=1, content=hashlib.sha256(id.encode()).hexdigest(), call=call),
        )


async def fill(dsn: str, proposals: int) -> Filling:
    """Write such a hub's log into an empty database; the read models are made when a hub opens it."""
    dsn, _ = await make_databases(dsn)
    await prepare(dsn)
    filling, codec = Filling(proposals), Codec()
    db = await asyncpg.connect(dsn)
    await db.set_type_codec("json", encoder=lambda data: data, decoder=bytes, schema="pg_catalog", format="binary")

    async def write(rows: list[tuple[object, ...]], tags: list[tuple[object, ...]]) -> None:
        await db.copy_records_to_table("event", schema_name="hub", records=rows)
        await db.copy_records_to_table("tag", schema_name="hub", records=tags)

    rows: list[tuple[object, ...]] = []
    tags: list[tuple[object, ...]] = []
    for position, (actor, event) in enumerate(filling.events(), start=1):
        data = codec.encode(event, "AAAAAAAAAAAAAAAAAAAAAA")
        own = event.tags
        at = BEGAN + timedelta(seconds=position)
        rows.append((position, event.type, " ".join(own), actor, at, new_id("request"), data))
        tags += [(tag, position, event.type) for tag in own]
        if len(rows) == 20_000:
            await write(rows, tags)
            rows, tags = [], []
    await write(rows, tags)
    await db.execute("ANALYZE")
    await db.close()
    return filling
