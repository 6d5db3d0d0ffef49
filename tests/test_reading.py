"""Who may read what: the predicate agrees with a naive filter, for every table and for random viewers."""

import random
from datetime import UTC, date, datetime

import pytest

from domain.calls.commands import DraftCall
from domain.calls.events import Criterion
from domain.core import HubRole
from domain.erasure import ErasePerson
from domain.organizations.commands import RegisterOrganization, SuspendOrganization, VerifyOrganization
from domain.organizations.offices import AppointOfficer, AuthorizeSignatory
from domain.people.affiliations import DeclareAffiliation
from domain.people.commands import ChooseNotices, GrantRole, RevokeRole
from domain.proposals.commands import DraftProposal, ReviseProposal
from domain.proposals.partners import InvitePartner, UninvitePartner
from domain.seals.commands import SealedModel, SealReadModels
from hub.access import give_link
from hub.door import Hub
from hub.models import verify
from hub.reading import principals, readable, record
from hub.tables import TABLES
from tests.test_log import person, region, told

DRAFT_CALL = DraftCall(
    title="Not public yet",
    summary="What is thought of, and by whom.",
    opens_at=datetime(2030, 1, 1, tzinfo=UTC),
    closes_at=datetime(2030, 3, 1, tzinfo=UTC),
    criteria=(Criterion("Excellence", 100),),
)


async def naive(hub, cls, viewer):
    """Every row, filtered in Python."""
    rows = await hub.log.pool.fetch(f'SELECT * FROM {hub.models.schema}."{cls.table}"')
    if cls.within is None:
        return {tuple(row[name] for name in cls.key) for row in rows if set(row["readers"]) & viewer}
    parents = {key[0] for key in await naive(hub, cls.within, viewer)}
    return {tuple(row[name] for name in cls.key) for row in rows if row[cls.within.table] in parents}


async def furnished(hub):
    officer, author, lead, call = await region(hub)
    other = await person(hub, "Aibek")
    await hub.do(AppointOfficer(organization=lead, person=other), officer)
    await hub.do(AuthorizeSignatory(organization=lead, person=author), other)
    drafts = [(await hub.do(DraftProposal(call=call, lead=lead, title=f"Title {n}"), author)).record for n in range(5)]
    register = RegisterOrganization(name="University", kind="university", city="Bishkek", country="KG")
    partner = (await hub.do(register, author)).record
    await hub.do(VerifyOrganization(organization=partner), officer)
    await hub.do(GrantRole(person=other, role=HubRole.AUDITOR))
    await hub.do(GrantRole(person=author, role=HubRole.AUDITOR), officer)
    await give_link(hub, author)
    await hub.do(ChooseNotices(person=author, mailed=False, language="tg"), author)
    await hub.do(SealReadModels(code="ab" * 32, position=1, models=(SealedModel("call", 0, "cd" * 32),)))
    await hub.do(InvitePartner(proposal=drafts[0], organization=partner, contribution="Field data"), author)
    await hub.do(
        DeclareAffiliation(person=author, organization=partner, position="Lecturer", since=date(2024, 1, 1)), author
    )
    return officer, author, other, lead, drafts


@pytest.mark.parametrize("table", sorted(TABLES))
def test_the_predicate_agrees_with_a_naive_filter(dsn, table):
    async def story():
        hub = await Hub.open(dsn)
        await furnished(hub)
        rows = await hub.log.pool.fetch(f"SELECT DISTINCT unnest(readers) FROM {hub.models.schema}.proposal")
        some = sorted({"public", "center", "nobody", *(row[0] for row in rows)})
        cls, chance = TABLES[table], random.Random(7)
        keys = ", ".join(f't."{name}"' for name in cls.key)
        for who in await hub.log.pool.fetch(f"SELECT id FROM {hub.models.schema}.person"):
            some = sorted({*some, *await principals(hub.log, hub.models, who["id"])})
        # The story has rows to show and rows to hide: otherwise agreement would mean nothing.
        assert await naive(hub, cls, set(some)) and not await naive(hub, cls, {"nobody"})
        for _ in range(30):
            viewer = set(chance.sample(some, chance.randint(0, len(some))))
            found = await hub.log.pool.fetch(f"SELECT {keys} {readable(hub.models.schema, cls)}", sorted(viewer))
            assert {tuple(row) for row in found} == await naive(hub, cls, viewer)
        await hub.close()

    told(story())


def test_a_draft_is_shown_to_its_own_and_to_nobody_else(dsn):
    async def story():
        hub = await Hub.open(dsn)
        officer, author, other, lead, (draft, *_) = await furnished(hub)
        stranger = await person(hub, "Stranger")

        async def sees(who):
            return await record(hub.log, hub.models, draft, await principals(hub.log, hub.models, who)) is not None

        assert [await sees(who) for who in (author, other, officer, stranger, None)] == [
            True,
            True,
            False,
            False,
            False,
        ]
        assert await record(hub.log, hub.models, "proposal_", frozenset({"public"})) is None
        await hub.do(SuspendOrganization(organization=lead, reason="Inquiry"), officer)
        assert not await sees(other)
        await hub.do(ErasePerson(person=author), author)
        assert not await sees(author)
        await hub.close()

    told(story())


def test_who_is_asked_no_more_reads_nothing_of_what_happened_before(dsn):
    """Not in the list of all that happened, either; asked again, they read what happens from then on."""

    async def story():
        hub = await Hub.open(dsn)
        _, author, _, lead, (draft, *_) = await furnished(hub)
        schema = hub.models.schema
        partner = await hub.log.pool.fetchval(
            f"SELECT id FROM {schema}.organization WHERE id <> $1 AND status = 'verified' LIMIT 1", lead
        )
        invite = InvitePartner(proposal=draft, organization=partner, contribution="Data")
        uninvite = UninvitePartner(proposal=draft, organization=partner)

        async def read_by(principal):
            sql = (
                f"SELECT type FROM {hub.models.schema}.entry WHERE record = $1 AND $2 = ANY (readers) ORDER BY position"
            )
            return [row["type"] for row in await hub.log.pool.fetch(sql, draft, principal)]

        office, revised = f"{partner}/office", ReviseProposal(proposal=draft, abstract="For partners alone")
        await hub.do(uninvite, author)
        await hub.do(invite, author)
        await hub.do(revised, author)
        # That they are asked no more is the last that they hear.
        gone = ["PartnerUninvited"]
        assert await read_by(office) == [*gone, "PartnerInvited", "ProposalRevised"]
        await hub.do(uninvite, author)
        assert await read_by(office) == gone
        await hub.do(invite, author)
        await hub.do(ReviseProposal(proposal=draft, abstract="Asked again"), author)
        assert await read_by(office) == [*gone, "PartnerInvited", "ProposalRevised"]
        assert (await read_by(author))[-5:] == [
            "PartnerInvited",
            "ProposalRevised",
            "PartnerUninvited",
            "PartnerInvited",
            "ProposalRevised",
        ]
        # A replay says the same, also when it is one with what others did at once.
        live = [await read_by(office), await read_by(author)]
        assert (await verify(hub.log, hub.models))[1] is None
        await hub.rebuild()
        assert [await read_by(office), await read_by(author)] == live
        await hub.do(uninvite, author)
        assert await read_by(office) == gone and (await verify(hub.log, hub.models))[1] is None
        await hub.close()

    told(story())


def test_roles_give_principals_and_lose_them(dsn):
    async def story():
        hub = await Hub.open(dsn)
        officer, author, *_ = await furnished(hub)
        assert "center" in await principals(hub.log, hub.models, officer)
        assert "center" not in await principals(hub.log, hub.models, author)
        await hub.do(GrantRole(person=author, role=HubRole.CENTER_OFFICER))
        assert "center" in await principals(hub.log, hub.models, author)
        # A draft call is its officers', for as long as they are of the Center.
        draft = (await hub.do(DRAFT_CALL, author)).record
        seen = [await record(hub.log, hub.models, draft, await principals(hub.log, hub.models, author))]
        assert seen[0]["status"] == "draft"
        assert await record(hub.log, hub.models, draft, await principals(hub.log, hub.models, officer)) is None
        await hub.do(RevokeRole(person=author, role=HubRole.CENTER_OFFICER), officer)
        assert "center" not in await principals(hub.log, hub.models, author)
        assert await record(hub.log, hub.models, draft, await principals(hub.log, hub.models, author)) is None
        await hub.close()

    told(story())
