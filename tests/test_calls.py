"""Stories of calls: rounds open and close by events, criteria freeze."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from domain.call_results import ArchiveCall, PublishResults
from domain.call_rounds import ReopenRound
from domain.calls.commands import AmendCall, CloseRound, DraftCall, OpenRound, PublishCall
from domain.calls.events import (
    CallAmended,
    CallArchived,
    CallOfficerAppointed,
    CallOfficerDismissed,
    CallPublished,
    Criterion,
    ResultsPublished,
    RoundClosed,
    RoundOpened,
    RoundReopened,
)
from domain.calls.officers import AppointCallOfficer, DismissCallOfficer
from domain.core import HUB, HubRole, Reason
from domain.people.commands import GrantRole, RevokeRole
from domain.people.events import PersonInvited, RoleGranted, RoleRevoked
from domain.proposals.commands import DraftProposal, SubmitProposal
from domain.proposals.events import (
    DeadlinePassed,
    ProposalDeclined,
    ProposalFoundIneligible,
    ProposalRecommended,
    ProposalReturned,
    ProposalWithdrawn,
)
from hub import clock, keeping
from hub.checking import problems
from hub.door import Hub
from hub.keeping import due, keep
from projections.calls import CallOfficerRow, CallRow
from projections.core import fold, office
from tests.region import (
    AIBEK,
    CALL,
    CLOSES,
    DRAFTED_CALL,
    DUSHANBE,
    OFFICER,
    OPEN_CALL,
    OPENS,
    ORGANIZATIONS,
    PEOPLE,
    WORKS,
    ZARINA,
)
from tests.sealed import as_root
from tests.stories import NOW, given, id_, sealed
from tests.test_log import person, region
from tests.test_log import told as told_
from tests.test_proposals import READY, SUBMITTED, P
from tests.web import as_, serving

SECOND = timedelta(seconds=1)


def draft(**changes):
    plain = {
        "title": "Joint research on water",
        "summary": "Joint research on water and ice.",
        "opens_at": OPENS,
        "closes_at": CLOSES,
        "criteria": (Criterion("Excellence", 60), Criterion("Impact", 40)),
    }
    return DraftCall(**{**plain, **changes})


def test_a_call_is_drafted_by_the_center():
    import msgspec

    given(*PEOPLE).when(draft(), by=OFFICER).then(msgspec.structs.replace(DRAFTED_CALL, call=id_("call", 101)))
    given(*PEOPLE).when(draft(), by=AIBEK).refused(Reason.NOT_PERMITTED)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"closes_at": OPENS}, "closes_at"),
        ({"criteria": (Criterion("Excellence", 60),)}, "criteria"),
        ({"criteria": (Criterion("Impact", 60), Criterion("impact", 40))}, "criteria"),
    ],
)
def test_a_call_that_cannot_work_is_refused(changes, field):
    given(*PEOPLE).when(draft(**changes), by=OFFICER).refused(Reason.INVALID, field)


def test_the_round_opens_and_closes_by_events():
    given(*PEOPLE, DRAFTED_CALL).when(PublishCall(call=CALL), by=OFFICER).then(CallPublished(call=CALL))
    late = given(*PEOPLE, DRAFTED_CALL).when(PublishCall(call=CALL), by=OFFICER, at=CLOSES)
    late.refused(Reason.INVALID, "closes_at")
    published = [*PEOPLE, DRAFTED_CALL, CallPublished(call=CALL)]
    given(*published).when(OpenRound(call=CALL), by="hub").then(RoundOpened(call=CALL))
    given(*PEOPLE, *OPEN_CALL).when(OpenRound(call=CALL), by="hub").then()
    given(*PEOPLE, *OPEN_CALL).when(CloseRound(call=CALL), by="hub", at=CLOSES - SECOND).then()
    given(*PEOPLE, *OPEN_CALL).when(CloseRound(call=CALL), by="hub", at=CLOSES).then(RoundClosed(call=CALL))
    given(*PEOPLE, *OPEN_CALL).when(CloseRound(call=CALL), by=OFFICER, at=CLOSES).refused(Reason.NOT_PERMITTED)


def test_a_call_whose_opening_is_long_past_is_not_published():
    """It would open at once, and no opening is taken back: a slip in the year. A round that begins late does."""
    publish = PublishCall(call=CALL)
    slip = msgspec.structs.replace(DRAFTED_CALL, opens_at=OPENS.replace(year=OPENS.year - 1))
    given(*PEOPLE, slip).when(publish, by=OFFICER).refused(Reason.INVALID, "opens_at")
    # Nor is one that is public already amended so; a draft may say what it likes.
    published = [*PEOPLE, DRAFTED_CALL, CallPublished(call=CALL)]
    opens = AmendCall(call=CALL, reason="Sooner", opens_at=slip.opens_at)
    given(*published).when(opens, by=OFFICER).refused(Reason.INVALID, "opens_at")
    given(*PEOPLE, DRAFTED_CALL).when(opens, by=OFFICER).then(
        CallAmended(call=CALL, reason="Sooner", opens_at=slip.opens_at)
    )
    gone = AmendCall(call=CALL, reason="Sooner", opens_at=OPENS - 2 * SECOND, closes_at=NOW - SECOND)
    given(*published).when(gone, by=OFFICER).refused(Reason.INVALID, "closes_at")
    # Nor so far ahead that only a slip explains it: an open round is never shortened.
    far = AmendCall(call=CALL, reason="Outage", closes_at=CLOSES.replace(year=2199))
    for told in (published, [*PEOPLE, *OPEN_CALL]):
        given(*told).when(far, by=OFFICER).refused(Reason.INVALID, "closes_at")
    endless = msgspec.structs.replace(DRAFTED_CALL, closes_at=CLOSES.replace(year=2199))
    given(*PEOPLE, endless).when(publish, by=OFFICER).refused(Reason.INVALID, "closes_at")
    text = AmendCall(call=CALL, reason="Clearer", title="Water, ice and snow")
    given(*published).when(text, by=OFFICER, at=CLOSES + SECOND).then(
        CallAmended(call=CALL, reason="Clearer", title="Water, ice and snow")
    )
    given(*PEOPLE, DRAFTED_CALL).when(publish, by=OFFICER, at=CLOSES - SECOND).then(CallPublished(call=CALL))


def test_nobody_amends_a_call_over_a_change_that_they_have_not_seen():
    theirs = CallAmended(call=CALL, reason="Clearer", title="Water and snow")
    mine = AmendCall(call=CALL, reason="Better", title="Ice and water", revision=1)
    given(*PEOPLE, DRAFTED_CALL).when(mine, by=OFFICER).then(CallAmended(call=CALL, reason="Better", title=mine.title))
    given(*PEOPLE, DRAFTED_CALL, theirs).when(mine, by=OFFICER).refused(Reason.CHANGED_MEANWHILE)
    for seen in (2, None):
        given(*PEOPLE, DRAFTED_CALL, theirs).when(msgspec.structs.replace(mine, revision=seen), by=OFFICER).then(
            CallAmended(call=CALL, reason="Better", title=mine.title)
        )
    # What stands there already is no change, whoever wrote it.
    same = msgspec.structs.replace(mine, title=theirs.title)
    given(*PEOPLE, DRAFTED_CALL, theirs).when(same, by=OFFICER).then()


def test_what_applicants_rely_on_freezes_when_the_round_opens():
    criteria = (Criterion("Impact", 100),)
    amend = AmendCall(call=CALL, reason="Clearer", criteria=criteria)
    given(*PEOPLE, DRAFTED_CALL).when(amend, by=OFFICER).then(
        CallAmended(call=CALL, reason="Clearer", criteria=criteria)
    )
    given(*PEOPLE, *OPEN_CALL).when(amend, by=OFFICER).refused(Reason.FROZEN, "criteria")
    given(*PEOPLE, *OPEN_CALL).when(AmendCall(call=CALL, reason="More", quorum=4), by=OFFICER).refused(
        Reason.FROZEN, "quorum"
    )
    shorter = AmendCall(call=CALL, reason="Hurry", closes_at=CLOSES - SECOND)
    given(*PEOPLE, *OPEN_CALL).when(shorter, by=OFFICER).refused(Reason.FROZEN, "closes_at")
    longer = AmendCall(call=CALL, reason="Outage", closes_at=CLOSES + SECOND)
    given(*PEOPLE, *OPEN_CALL).when(longer, by=OFFICER).then(
        CallAmended(call=CALL, reason="Outage", closes_at=CLOSES + SECOND)
    )
    # Once its time has come, also before that is recorded.
    given(*PEOPLE, *OPEN_CALL).when(longer, by=OFFICER, at=CLOSES).refused(Reason.FROZEN, "closes_at")
    # What stands so already is no change, frozen or not; all that is wrong is said at once, and beforehand.
    as_it_is = AmendCall(call=CALL, reason="Nothing", criteria=DRAFTED_CALL.criteria, title=DRAFTED_CALL.title)
    given(*PEOPLE, *OPEN_CALL).when(as_it_is, by=OFFICER).then()
    several = AmendCall(call=CALL, reason="All", criteria=criteria, quorum=4, closes_at=CLOSES - SECOND)
    given(*PEOPLE, *OPEN_CALL).when(several, by=OFFICER).refused(Reason.FROZEN, "criteria", "quorum", "closes_at")
    fixed = given(*PEOPLE, *OPEN_CALL).fixed(OFFICER, CALL, "AmendCall")
    assert fixed == ["opens_at", "criteria", "quorum", "countries", "blindness", "conflict_years"]
    assert not given(*PEOPLE, DRAFTED_CALL).fixed(OFFICER, CALL, "AmendCall")


def test_a_round_that_was_opened_sooner_says_since_when():
    row = None
    for event, at in ((DRAFTED_CALL, OPENS), (CallPublished(call=CALL), OPENS)):
        row = fold(CallRow, row, event, at)
    assert fold(CallRow, row, RoundOpened(call=CALL), OPENS - SECOND).opened_at == OPENS - SECOND
    assert fold(CallRow, row, RoundOpened(call=CALL), OPENS + SECOND).opens_at == OPENS


def test_results_and_archive():
    closed = [*PEOPLE, *OPEN_CALL, RoundClosed(call=CALL)]
    given(*closed).when(PublishResults(call=CALL), by=OFFICER).then(ResultsPublished(call=CALL))
    given(*closed).when(PublishResults(call=CALL), by=AIBEK).refused(Reason.NOT_PERMITTED)
    given(*closed).when(ArchiveCall(call=CALL), by=OFFICER).refused(Reason.WRONG_STATUS)
    given(*closed, ResultsPublished(call=CALL)).when(ArchiveCall(call=CALL), by=OFFICER).then(CallArchived(call=CALL))


def test_a_call_that_has_not_opened_is_put_away_where_everybody_saw_it():
    away, archived = ArchiveCall(call=CALL), CallArchived(call=CALL)
    published = [*PEOPLE, *ORGANIZATIONS, *WORKS, DRAFTED_CALL, CallPublished(call=CALL)]
    given(*published).when(away, by=OFFICER).then(archived)
    given(*published, RoundOpened(call=CALL)).when(away, by=OFFICER).refused(Reason.WRONG_STATUS)
    given(*published, archived).when(OpenRound(call=CALL), by=HUB, at=OPENS).refused(Reason.WRONG_STATUS)
    draft = DraftProposal(call=CALL, lead=DUSHANBE, title="Ice from above")
    given(*published, archived).when(draft, by=ZARINA).refused(Reason.ROUND_NOT_OPEN, "call")


def test_a_round_that_was_closed_is_opened_once_more_before_anything_is_decided():
    """The hub was away on the last day, or its clock was wrong: nobody loses a round by that."""
    later = CLOSES + timedelta(days=3)
    reopen = ReopenRound(call=CALL, closes_at=later, reason="The hub could not be reached on the last day")
    reopened = RoundReopened(call=CALL, closes_at=later, reason=reopen.reason)
    closed = [*READY, RoundClosed(call=CALL)]
    after = CLOSES + timedelta(hours=1)
    given(*READY).when(reopen, by=OFFICER, at=after).refused(Reason.WRONG_STATUS)
    given(*closed).when(reopen, by=ZARINA, at=after).refused(Reason.NOT_PERMITTED)
    given(*closed).when(reopen, by=OFFICER, at=after).then(reopened)
    for wrong in (after, after + timedelta(days=4 * 365)):
        given(*closed).when(msgspec.structs.replace(reopen, closes_at=wrong), by=OFFICER, at=after).refused(
            Reason.INVALID, "closes_at"
        )
    # It is open as it was: proposals are submitted until the new time, and it closes by itself then.
    again = [*closed, reopened]
    submit = SubmitProposal(proposal=P)
    given(*closed).when(submit, by=ZARINA, at=after).refused(Reason.ROUND_NOT_OPEN)
    assert given(*again).when(submit, by=ZARINA, at=after).refusal is None
    given(*again).when(submit, by=ZARINA, at=later).refused(Reason.ROUND_NOT_OPEN)
    given(*again).when(CloseRound(call=CALL), by=HUB, at=after).then()
    given(*again).when(CloseRound(call=CALL), by=HUB, at=later).then(RoundClosed(call=CALL))
    amend = AmendCall(call=CALL, reason="Other", criteria=(Criterion("Other", 100),))
    given(*again).when(amend, by=OFFICER, at=after).refused(Reason.FROZEN, "criteria")
    # What was chosen is known: nobody writes for it.
    submitted = [*READY, SUBMITTED, RoundClosed(call=CALL)]
    assert given(*submitted).may(OFFICER, CALL)["ReopenRound"] is None
    recommended, declined = ProposalRecommended(proposal=P), ProposalDeclined(proposal=P, reason="No")
    for each in ((recommended,), (declined,), (recommended, ProposalWithdrawn(proposal=P, reason="Moved on"))):
        decided = given(*submitted, *each)
        decided.when(reopen, by=OFFICER, at=after).refused(Reason.WRONG_STATUS)
        assert decided.may(OFFICER, CALL)["ReopenRound"] == Reason.WRONG_STATUS
    # What was not changed in time, or did not meet the conditions, was compared with nothing.
    late = [ProposalReturned(proposal=P, reason="Say more", until=NOW), DeadlinePassed(proposal=P), declined]
    for others in ([ProposalFoundIneligible(proposal=P, reason="No partners")], late):
        given(*submitted, *others).when(reopen, by=OFFICER, at=after).then(reopened)
    row = CallRow
    for event in (DRAFTED_CALL, CallPublished(call=CALL), RoundOpened(call=CALL), RoundClosed(call=CALL), reopened):
        row = fold(CallRow, None if row is CallRow else row, event, NOW)
    assert (row.status, row.closes_at, row.opened_at, row.revision) == ("open", later, NOW, 2)
    # Who amends it as it was before has not seen until when it is open now.
    amend = AmendCall(call=CALL, reason="A week more", closes_at=later + timedelta(days=7), revision=1)
    given(*again).when(amend, by=OFFICER, at=after).refused(Reason.CHANGED_MEANWHILE)
    assert given(*again).when(msgspec.structs.replace(amend, revision=2), by=OFFICER, at=after).refusal is None


def test_a_draft_that_nobody_wants_any_more_is_put_away_unseen():
    away, archived = ArchiveCall(call=CALL), CallArchived(call=CALL)
    given(*PEOPLE, DRAFTED_CALL).when(away, by=AIBEK).refused(Reason.NOT_PERMITTED)
    given(*PEOPLE, DRAFTED_CALL).when(away, by=OFFICER).then(archived)
    given(*PEOPLE, DRAFTED_CALL, archived).when(PublishCall(call=CALL), by=OFFICER).refused(Reason.WRONG_STATUS)
    # Nobody learns that it was there.
    draft = DraftProposal(call=CALL, lead=DUSHANBE, title="Ice from above")
    region = [*PEOPLE, *ORGANIZATIONS, *WORKS, DRAFTED_CALL, archived]
    given(*region).when(draft, by=ZARINA).refused(Reason.NOT_FOUND, "call")
    row = fold(CallRow, fold(CallRow, None, DRAFTED_CALL, NOW), archived, NOW)
    assert row.status == "archived" and "public" not in row.readers


def test_criteria_that_are_emptied_are_refused_at_their_field():
    emptied = {"call": CALL, "reason": "Clearer", "criteria": []}
    assert [*problems(AmendCall, emptied)] == ["criteria"]
    assert not problems(AmendCall, {**emptied, "criteria": None})


def test_who_ran_a_call_hands_it_over():
    dismiss, role = (
        DismissCallOfficer(call=CALL, officer=OFFICER),
        RoleGranted(person=AIBEK, role=HubRole.CENTER_OFFICER),
    )
    appointed, dismissed = (
        CallOfficerAppointed(call=CALL, officer=AIBEK),
        CallOfficerDismissed(call=CALL, officer=OFFICER),
    )
    told = [*PEOPLE, role, *OPEN_CALL]
    # Somebody runs it still, and that somebody is of the Center.
    given(*told).when(dismiss, by=OFFICER).refused(Reason.NOT_PERMITTED, "officer")
    given(*told, appointed, RoleRevoked(person=AIBEK, role=HubRole.CENTER_OFFICER)).when(dismiss, by=OFFICER).refused(
        Reason.NOT_PERMITTED, "officer"
    )
    for by in (OFFICER, AIBEK):
        given(*told, appointed).when(dismiss, by=by).then(dismissed)
    given(*told, appointed).when(DismissCallOfficer(call=CALL, officer=ZARINA), by=OFFICER).then()
    # Who has not come yet runs nothing: a call is not left to them, and whoever is of the Center may take it over.
    new = id_("person", 9)
    absent = [
        PersonInvited(person=new, name=sealed("N"), email=sealed("n@example.org"), email_alias="of-n"),
        RoleGranted(person=new, role=HubRole.CENTER_OFFICER),
    ]
    left_to = [*PEOPLE, *absent, *OPEN_CALL, CallOfficerAppointed(call=CALL, officer=new)]
    given(*left_to).when(dismiss, by=OFFICER).refused(Reason.NOT_PERMITTED, "officer")
    back = CallOfficerAppointed(call=CALL, officer=OFFICER)
    given(*left_to, dismissed).when(AppointCallOfficer(call=CALL, officer=OFFICER), by=OFFICER).then(back)
    # They run it no more, though they are of the Center.
    amend = AmendCall(call=CALL, reason="Clearer", title="Water, ice and snow")
    given(*told, appointed, dismissed).when(amend, by=OFFICER).refused(Reason.NOT_PERMITTED)
    given(*told, appointed, dismissed).when(amend, by=AIBEK).then(
        CallAmended(call=CALL, reason="Clearer", title="Water, ice and snow")
    )
    office_of_aibek = fold(CallOfficerRow, None, appointed, NOW)
    assert (office_of_aibek.officer, office_of_aibek.principal) == (AIBEK, office(CALL))
    assert fold(CallOfficerRow, fold(CallOfficerRow, None, DRAFTED_CALL, NOW), dismissed, NOW) is None


def test_another_officer_of_the_center_joins_a_call():
    appoint = AppointCallOfficer(call=CALL, officer=AIBEK)
    given(*PEOPLE, *OPEN_CALL).when(appoint, by=OFFICER).refused(Reason.NOT_PERMITTED, "officer")
    role = RoleGranted(person=AIBEK, role=HubRole.CENTER_OFFICER)
    third = RoleGranted(person=ZARINA, role=HubRole.CENTER_OFFICER)
    appointed = CallOfficerAppointed(call=CALL, officer=AIBEK)
    given(*PEOPLE, role, *OPEN_CALL).when(appoint, by=OFFICER).then(appointed)
    # Nobody else of the Center lets themselves or others in, unless nobody of it is left who runs the call.
    for by in (AIBEK, ZARINA):
        given(*PEOPLE, role, third, *OPEN_CALL).when(appoint, by=by).refused(Reason.NOT_PERMITTED)
    left = RoleRevoked(person=OFFICER, role=HubRole.CENTER_OFFICER)
    for by in (AIBEK, ZARINA, HUB):
        given(*PEOPLE, role, third, *OPEN_CALL, left).when(appoint, by=by).then(appointed)
    # Nor whoever brought that about: reading its proposals takes two.
    taken = RevokeRole(person=OFFICER, role=HubRole.CENTER_OFFICER)
    by_aibek = msgspec.structs.replace(left, by=AIBEK)
    given(*PEOPLE, role, *OPEN_CALL).when(taken, by=AIBEK).then(by_aibek)
    given(*PEOPLE, role, third, *OPEN_CALL, by_aibek).when(appoint, by=AIBEK).refused(Reason.NOT_PERMITTED, "officer")
    given(*PEOPLE, role, third, *OPEN_CALL, by_aibek).when(appoint, by=ZARINA).then(appointed)
    # It is not offered to who may not.
    two = [*PEOPLE, role, *OPEN_CALL]
    assert "AppointCallOfficer" not in given(*two).may(AIBEK, CALL)
    assert {"AppointCallOfficer"} <= {*given(*two).may(OFFICER, CALL)} & {*given(*two, left).may(AIBEK, CALL)}
    # A draft that is another's looks like no call.
    hidden, none = (given(*PEOPLE, role, *before).when(appoint, by=AIBEK).refusal for before in ([DRAFTED_CALL], []))
    assert str(hidden) == str(none) and hidden.reason == none.reason and hidden.field == none.field
    given(*PEOPLE, role, *OPEN_CALL, appointed).when(appoint, by=OFFICER).then()
    given(*PEOPLE, *OPEN_CALL).when(appoint, by=AIBEK).refused(Reason.NOT_PERMITTED)


def test_a_round_that_nobody_could_open_in_time_opens_and_closes():
    published = [*PEOPLE, DRAFTED_CALL, CallPublished(call=CALL)]
    late = CLOSES + timedelta(hours=1)
    given(*published).when(OpenRound(call=CALL), by=HUB, at=late).then(RoundOpened(call=CALL))
    given(*published, RoundOpened(call=CALL)).when(CloseRound(call=CALL), by=HUB, at=late).then(RoundClosed(call=CALL))
    # Whoever runs it may move its closing instead.
    given(*published).when(OpenRound(call=CALL), by=OFFICER, at=late).refused(Reason.INVALID)


def test_rounds_open_and_close_at_their_time_and_none_is_missed(dsn):
    async def story():
        hub = await Hub.open(dsn)
        try:
            officer, *_ = await region(hub)
            now = datetime.now(UTC)

            async def published(opens, closes):
                times = {"opens_at": now + timedelta(seconds=opens), "closes_at": now + timedelta(seconds=closes)}
                drafted = DraftCall(title="Soon", summary="S" * 50, criteria=(Criterion("Merit", 100),), **times)
                call = (await hub.do(drafted, officer)).record
                await hub.do(PublishCall(call=call), officer)
                return call

            async def rounds():
                return await hub.log.read(types=["RoundOpened", "RoundClosed"])

            # The second as if the hub had been away meanwhile.
            soon, missed = await published(1, 2), await published(0.2, 0.4)
            await asyncio.sleep(0.5)
            keeping = asyncio.create_task(keep(hub))
            try:
                async with asyncio.timeout(10):
                    while len(told := [each for each in await rounds() if each.event.call in (soon, missed)]) < 4:
                        await asyncio.sleep(0.02)
            finally:
                keeping.cancel()
            found = [(each.event.call, type(each.event)) for each in told]
            assert found == [(missed, RoundOpened), (missed, RoundClosed), (soon, RoundOpened), (soon, RoundClosed)]
            late = [(each.at - now).total_seconds() for each in told[2:]]
            assert 1 <= late[0] < 2 <= late[1] < 3, late
        finally:
            await hub.close()

    told_(story())


def test_nothing_that_is_due_is_done_by_a_clock_that_nobody_has_set_nor_on_a_log_that_may_be_older(dsn, monkeypatch):
    """What is closed too early is closed for good; what a restored hub records by itself parts it from its copies."""

    async def story():
        monkeypatch.setattr(keeping, "LOOK", 0.1)
        hub = await Hub.open(dsn)
        officer, *_ = await region(hub)
        opens = datetime.now(UTC) + timedelta(seconds=0.3)
        times = {"opens_at": opens, "closes_at": opens + timedelta(days=1)}
        drafted = DraftCall(title="Soon", summary="S" * 50, criteria=(Criterion("Merit", 100),), **times)
        call = (await hub.do(drafted, officer)).record
        await hub.do(PublishCall(call=call), officer)

        async def opened(seconds):
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not await hub.log.read(tag=call, types=["RoundOpened"]):
                        await asyncio.sleep(0.05)
            return bool(await hub.log.read(tag=call, types=["RoundOpened"]))

        task = None
        try:
            with monkeypatch.context() as young:
                young.setattr(clock, "is_set", lambda: False)
                task = asyncio.create_task(keep(hub))
                assert not await opened(1)
                await asyncio.to_thread(as_root, dsn, "INSERT INTO hub.restored DEFAULT VALUES")
            assert not await opened(1) and await keeping.held_up(hub) == keeping.UNHEARD
            await asyncio.to_thread(as_root, dsn, "DELETE FROM hub.restored")
            assert await opened(10)
        finally:
            if task is not None:
                task.cancel()
            await hub.close()

    told_(story())


@pytest.mark.parametrize(("up", "says", "believed"), [(119, 5, False), (119, 0, True), (121, 5, True)])
def test_a_clock_is_believed_once_it_was_set_or_the_machine_has_run_for_a_while(monkeypatch, up, says, believed):
    class Kernel:
        def adjtimex(self, _):
            return says

    monkeypatch.setattr("time.clock_gettime", lambda _: up)
    monkeypatch.setattr("ctypes.CDLL", lambda _: Kernel())
    monkeypatch.setattr("sys.platform", "linux")
    assert clock.is_set() == believed


def test_a_round_that_the_hub_slept_through_was_open_to_nobody(dsn):
    async def story():
        async with serving(dsn) as (hub, app, _):
            officer, _, _, call = await region(hub)
            http = await as_(hub, app, officer)
            form = (await http.get(f"/do/openRound?call={call}")).text
            assert "Would open by itself" in form and "Opens" not in form
            later = datetime.now(UTC) + timedelta(days=400)
            for _ in range(2):
                for each in await due(hub, later):
                    await hub.do(each, at=later)
            page = (await http.get(f"/calls/{call}")).text
            assert "nobody could submit anything" in page and "The round was open from" not in page

    told_(story())


def test_who_let_the_center_runs_its_calls_no_more(dsn):
    async def story():
        async with serving(dsn) as (hub, app, _):
            officer, _, _, call = await region(hub)
            other = await person(hub, "Other")
            await hub.do(GrantRole(person=other, role=HubRole.CENTER_OFFICER))
            await hub.do(AppointCallOfficer(call=call, officer=other), officer)
            runs = (await (await as_(hub, app, other)).get(f"/calls/{call}")).text
            assert "Officer</a>" in runs and "not now:" not in runs
            await hub.do(RevokeRole(person=officer, role=HubRole.CENTER_OFFICER))
            runs = (await (await as_(hub, app, other)).get(f"/calls/{call}")).text
            assert runs.count("not now:") == 1 and runs.index("Officer</a>") < runs.index("not now:")

    told_(story())
