"""The counts of an operation's lists: what is asked for beside its statement."""

from projections.core import Row
from web.reads.filters import filters
from web.reads.statement import Chosen, Statement, total
from web.reads.totals import Each, Wanted


def whole(statement: Statement, chosen: Chosen, cls: type[Row], over: tuple[str, str] | None) -> int:
    """The number of a whole list's count. It is the same on every page, and kept: it is no part of the statement."""
    alias = "counted"
    if cls.table not in statement.wanted:
        part = statement.other()
        statement.wanted[cls.table] = part, Wanted(part.rows(cls.table, alias).source, cls.table)
    part, wanted = statement.wanted[cls.table]
    plain = statement.other()
    rows = plain.rows(cls.table, alias)

    def condition(of: Statement, exact: bool) -> str:
        on = f'"{over[0]}" = {of.bind(statement.given[over[1]], "text")}' if over else None
        return " AND ".join((rows.predicate, *filters(of, chosen, alias, cls, on, exact=exact)))

    wanted.conditions.append(condition(part, True))
    lenient = plain.plan(f"SELECT count(*) FROM {rows.source} WHERE {condition(plain, False)}", total(()))
    wanted.lenient.append(lenient if plain.by_words else None)
    n = sum(len(each.numbers) for _, each in statement.wanted.values())
    wanted.numbers.append(n)
    return n


def of_each(statement: Statement, chosen: Chosen, cls: type[Row], on: str) -> Each | None:
    """What counts what belongs to each of many records, all at once; nothing where words are looked for."""
    part = statement.other()
    rows = part.rows(cls.table, "counted")
    where = " AND ".join((rows.predicate, *filters(part, chosen, "counted", cls)))
    statement.tables |= part.tables
    return None if part.by_words else Each.of(cls.table, on, rows.source, where, part.binders, part.tables)
