"""Forms of calls, and calls in forms."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain.call_results import ArchiveCall, PublishResults
from domain.calls.commands import OpenRound, PublishCall
from domain.calls.officers import AppointCallOfficer, DismissCallOfficer
from domain.core import N_
from web.forms import Choice, Left, Offer, Particular, Some, Writer, among, chooses
from web.forms.every import every
from web.forms.people import Office
from web.pages import path_of
from web.showing import moment
from web.words import translated

_ONE = "id name: title status opensAt closesAt"
_OPEN = "status: [OPEN, PUBLISHED]"
_SOME = "{ totalCount nodes { id title } }"
_LEFT = f"""query($id: ID!) {{
    undecided: proposals(first: 5, where: {{call: $id, status: [SUBMITTED, IN_REVIEW]}}) {_SOME}
    recommended: proposals(first: 5, where: {{call: $id, status: [RECOMMENDED], offered: false}}) {_SOME}
    changing: proposals(first: 5, where: {{call: $id, status: [RETURNED], awaitsMyDecision: false}}) {_SOME}
    returned: proposals(first: 5, where: {{call: $id, status: [RETURNED]}}) {_SOME}
    offered: proposals(first: 5, where: {{call: $id, status: [RECOMMENDED], offered: true}}) {_SOME} }}"""
_ENDED = f"""query($id: ID!) {{
    awarded: proposals(first: 100, where: {{call: $id, status: [AWARDED]}}) {_SOME}
    declined: proposals(first: 100, where: {{call: $id, status: [DECLINED, INELIGIBLE]}}) {_SOME} }}"""


@chooses("call")
async def calls(writer: Writer, field: str) -> Offer:
    """The calls in which a proposal can be begun, in the order of the list."""
    nodes = await every(writer, "calls", "call", _ONE, _OPEN, writer.given.get(field, ""))
    return among([_choice(each, writer.viewer.language) for each in nodes])


def _choice(node: Mapping[str, Any], language: str) -> Choice:
    opens = node["status"] == "PUBLISHED"
    words = N_("opens %(time)s") if opens else N_("closes %(time)s")
    more = translated(words, language, {"time": moment(node["opensAt" if opens else "closesAt"])})
    return Choice(node["id"], node["name"], more)


class Publishing(Particular, of=(PublishCall,)):
    """Says when the round is: that is for good."""

    selected = "whenOpen: opensAt whenClosed: closesAt"

    def facts(self, found: Mapping[str, Any], given: Mapping[str, str], language: str) -> Iterator[tuple[str, str]]:
        """When it opens and closes."""
        yield translated(N_("Opens"), language), moment(found["whenOpen"])
        yield translated(N_("Closes"), language), moment(found["whenClosed"])


class Opening(Publishing, of=(OpenRound,)):
    """Says until when the round is open, and when it would open by itself."""

    def facts(self, found: Mapping[str, Any], given: Mapping[str, str], language: str) -> Iterator[tuple[str, str]]:
        """It opens as soon as that is said."""
        yield translated(N_("Would open by itself"), language), moment(found["whenOpen"])
        yield translated(N_("Closes"), language), moment(found["whenClosed"])


class Ending(Particular, of=(ArchiveCall,)):
    """Says which proposals are not decided, and which wait for their authors or for an answer."""

    async def left(self, writer: Writer) -> Sequence[Left]:
        """Proposals of the call that are undecided, that have time for changes, or wait for an answer to an offer."""
        left, language = await writer.ask(_LEFT, id=writer.record), writer.viewer.language
        returned, offered = _some(left["returned"]), _some(left["offered"])
        back = N_("Given back for changes, and not submitted again: %(count)s.")
        open = N_("Offers of an award that wait for an answer, and stay open: %(count)s.")
        return (
            Left(_some(left["undecided"], left["recommended"]), bars=True),
            Left(_some(left["changing"]), bars=True),
            Left(returned, translated(back, language, {"count": returned.count}), grave=True),
            Left(offered, translated(open, language, {"count": offered.count})),
        )


class Concluding(Ending, of=(PublishResults,)):
    """Says besides what everybody reads from then on, and what nobody else does."""

    async def left(self, writer: Writer) -> Sequence[Left]:
        """Those first."""
        ended, language = await writer.ask(_ENDED, id=writer.record), writer.viewer.language
        awarded, declined = _some(ended["awarded"]), _some(ended["declined"])
        read = N_("Awarded, and read by everybody from then on: %(count)s.")
        kept = N_("Declined or not eligible, and read by nobody else: %(count)s.")
        return (
            Left(awarded, translated(read, language, {"count": awarded.count}), grave=False),
            Left(declined, translated(kept, language, {"count": declined.count}), grave=False),
            *await super().left(writer),
        )


def _some(*lists: Mapping[str, Any]) -> Some:
    nodes = [each for found in lists for each in found["nodes"]]
    first = tuple((path_of(each["id"]), each["title"]) for each in nodes)
    return Some(sum(found["totalCount"] for found in lists), first)


class Appointing(Office, of=(AppointCallOfficer,)):
    """Only an officer of the Center runs a call."""

    holders = "officers"

    def may_hold(self, person: Mapping[str, Any]) -> bool:
        """They are of the Center."""
        return "CENTER_OFFICER" in {role["role"] for role in person["roles"]}


class Dismissing(Office, of=(DismissCallOfficer,)):
    """Those who run it."""

    holders, ends = "officers", True
