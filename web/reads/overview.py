"""What is counted over many records: the region at a glance, who works with whom, where proposals come from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from graphql import get_named_type

from hub.reading import Readable, readable
from hub.tables import TABLES
from projections.core import PUBLIC
from web.reads.fitting import fitting
from web.reads.late import loads, project
from web.reads.plan import MAX_FOUND, BadInput, Late, Values
from web.reads.totals import Tally

if TYPE_CHECKING:
    from web.reads.making import Reading

MOST = 200
"""Places, and links between them."""


def _rows(reading: "Reading", table: str, alias: str, reached: bool = False) -> Readable:
    return readable(reading.hub.models.schema, TABLES[table], alias=alias, reached=reached, filtered=True)


@loads
async def belonging(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """How many records belong to each of many."""
    assert late.counts is not None
    ids = [id for (id,) in items]
    counts = await reading.reads.counting.each(late.counts, values, reading.viewer, ids)
    return [counts[id] for id in ids]


@loads
async def region(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """Counted for nobody in particular, so once for everybody until something changes that everybody may read."""
    since = fitting("time", "since", values.args(late.definition, late.node)["since"], late.node)
    anybody = replace(reading.viewer, person=None, principals=frozenset({PUBLIC}))
    counting = reading.reads.counting
    key = "region", since, *[await counting.written(each, anybody) for each in ("organization", "call", "proposal")]
    made = await reading.reads.once(key, lambda: _region(reading, since))
    return [project(reading, get_named_type(late.definition.type), late, made, values) for _ in items]


async def _region(reading: "Reading", since: datetime) -> dict[str, Any]:
    organization = readable(reading.hub.models.schema, TABLES["organization"], alias="o")
    call = readable(reading.hub.models.schema, TABLES["call"], alias="c")
    proposal = readable(reading.hub.models.schema, TABLES["proposal"], alias="p")
    partner = _rows(reading, "partner", "m", reached=True)
    joint = f"""(SELECT p.id, p.changed_at, o.city, o.country, o.id AS lead, m.organization AS partner
                 FROM {proposal.source} JOIN {partner.source} ON m.proposal = p.id AND m.status = 'confirmed'
                 JOIN {organization.source} ON o.id = p.lead
                 WHERE {proposal.predicate} AND p.status = 'awarded' AND {organization.predicate})"""
    given = [PUBLIC], since
    row = await reading.hub.log.counting.fetchrow(
        f"""WITH joint AS {joint}, pair AS (
                SELECT least(j.lead, j.partner), greatest(j.lead, j.partner), min(j.changed_at) AS since
                FROM joint j JOIN {organization.source} ON o.id = j.partner AND o.country <> j.country GROUP BY 1, 2)
            SELECT (SELECT count(*) {organization} AND o.status = 'verified') AS organizations,
                   (SELECT count(*) {organization} AND o.status = 'verified' AND o.registered_at >= $2)
                       AS organizations_,
                   (SELECT count(*) {call} AND c.status = 'open') AS open_calls,
                   (SELECT count(*) {call} AND c.status = 'open' AND c.opened_at >= $2) AS open_calls_,
                   (SELECT count(*) {proposal} AND p.status = 'awarded') AS awarded,
                   (SELECT count(*) {proposal} AND p.status = 'awarded' AND p.changed_at >= $2) AS awarded_,
                   (SELECT count(*) FROM pair) AS partnerships,
                   (SELECT count(*) FROM pair WHERE since >= $2) AS partnerships_""",
        *given,
    )
    assert row is not None
    places = await reading.hub.log.counting.fetch(
        f"""SELECT o.city, o.country, avg(o.latitude) AS latitude, avg(o.longitude) AS longitude,
                   count(*) AS organizations
            {organization} AND o.status = 'verified'
            GROUP BY 1, 2 HAVING avg(o.latitude) IS NOT NULL AND avg(o.longitude) IS NOT NULL
            ORDER BY 5 DESC, 1, 2 LIMIT {MOST}""",
        [PUBLIC],
    )
    links = await reading.hub.log.counting.fetch(
        f"""SELECT j.city, j.country, o.city AS to_city, o.country AS to_country, count(DISTINCT j.id) AS projects
            FROM {joint} j JOIN {organization.source} ON o.id = j.partner
            WHERE $2::timestamptz IS NOT NULL AND (j.city, j.country) <> (o.city, o.country)
            GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 3 LIMIT {MOST}""",
        *given,
    )
    known = {(each["city"], each["country"]): dict(each) for each in places}
    names = ("organizations", "open_calls", "awarded", "partnerships")
    return {
        "figures": [{"name": each.upper(), "count": row[each], "recent": row[f"{each}_"]} for each in names],
        "places": [*known.values()],
        "links": [
            {"from": known[a], "to": known[b], "projects": each["projects"]}
            for each in links
            if (a := (each["city"], each["country"])) in known and (b := (each["to_city"], each["to_country"])) in known
        ],
    }


@loads
async def collaborators(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """Organizations that stand behind the same proposals, for each of some organizations."""
    first = values.args(late.definition, late.node).get("first")
    if first is None or not 0 <= first <= MAX_FOUND:
        raise BadInput(f"`first` is from 0 to {MAX_FOUND}.", late.node)
    schema, partner = reading.hub.models.schema, _rows(reading, "partner", "m", reached=True)
    organization = _rows(reading, "organization", "o")
    confirmed = f"FROM {partner.source} WHERE m.status = 'confirmed'"
    behind = Tally.of(
        schema,
        "proposal",
        f"t.lead = $2 OR EXISTS (SELECT {confirmed} AND m.proposal = t.id AND m.organization = $2)",
        f"t.lead || ARRAY(SELECT m.organization {confirmed} AND m.proposal = t.id)",
        1,
        f"SELECT id FROM {_rows(reading, 'proposal', 'p').source} WHERE p.lead = $2"
        f" UNION SELECT m.proposal {confirmed} AND m.organization = $2",
    )
    sql = f"""SELECT o.id AS "organizationId", o.name, o.names::text AS names, o.city, o.country, behind.proposals
              FROM unnest($2::text[], $3::bigint[]) AS behind (organization, proposals)
              JOIN {organization.source} ON o.id = behind.organization
              WHERE {organization.predicate}
              ORDER BY proposals DESC, o.sort_{reading.viewer.language} LIMIT $4"""
    of, found = get_named_type(late.definition.type), []
    for (id,) in items:
        tally = await reading.reads.counting.tally(behind, [id], reading.viewer)
        with_whom = {each: count for each, count in tally.items() if each != id}
        given = [*with_whom], [*with_whom.values()]
        rows = await reading.hub.log.pool.fetch(sql, reading.viewer.list, *given, first) if with_whom else []
        made = [{**row, "names": msgspec.json.decode(row["names"])} for row in rows]
        found.append([project(reading, of, late, each, values) for each in made])
    return found


@loads
async def proposals_by_country(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """How many proposals of each of some calls are led from where."""
    schema, organization = reading.hub.models.schema, _rows(reading, "organization", "o")
    led = Tally.of(schema, "proposal", "t.call = ANY($2)", "ARRAY[t.call || ' ' || t.lead]", 1)
    tally = await reading.reads.counting.tally(led, [sorted(id for (id,) in items)], reading.viewer)
    leads = list({each.partition(" ")[2] for each in tally})
    rows = await reading.hub.log.pool.fetch(
        f"SELECT o.id, o.country {organization} AND o.id = ANY($2)", reading.viewer.list, leads
    )
    countries, of = {row["id"]: row["country"] for row in rows}, get_named_type(late.definition.type)
    counts: Counter[tuple[str, str]] = Counter()
    for each, count in tally.items():
        call, _, lead = each.partition(" ")
        if lead in countries:
            counts[call, countries[lead]] += count
    by_count = sorted(counts.items(), key=lambda each: (-each[1], each[0][1]))
    return [
        [
            project(reading, of, late, {"country": country, "count": count}, values)
            for (call, country), count in by_count
            if call == id
        ]
        for (id,) in items
    ]
