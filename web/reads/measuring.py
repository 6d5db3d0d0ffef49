"""How much a document asks of whoever answers it, measured before it is validated or run."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
)

MAX_TOKENS, MAX_DEPTH, MAX_ALIASES, MAX_COST = 4_000, 14, 60, 20_000
MAX_COST_HEARD = 2_000
"""What is asked for of each event that somebody listens to costs at most this: there may be many of them."""
MAX_STEPS, DEEPEST = 8_000, 60
"""So many steps are taken within 50 ms; no document that is valid here has a field so deep."""
Fragments = Mapping[str, FragmentDefinitionNode]


def limited(code: str, message: str, **figures: int) -> GraphQLError:
    """An excess: which, and how much is allowed, in words and in ``figures``."""
    return GraphQLError(message, extensions={"code": code, **figures})


def within_cost(cost: int, most: int = MAX_COST) -> None:
    """Refuse what would read too much, before anything is read."""
    if cost > most:
        words = f"This costs {cost:,}; at most {most:,} is allowed: ask for fewer at once."
        raise limited("TOO_COSTLY", words, cost=cost, limit=most)


def tangled(definitions: Iterable[Node], fragments: Fragments) -> Iterator[GraphQLError]:
    """What asks for the same so often that to validate it would hold up everybody else; the document may be wrong.

    Every definition counts, also one that nothing uses: all of them are validated.
    """
    merging = _Merging(fragments)
    for each in definitions:
        if isinstance(each, OperationDefinitionNode | FragmentDefinitionNode) and merging.steps <= MAX_STEPS:
            merging.merge([each.selection_set], 1)
    if merging.steps > MAX_STEPS:
        words = "ask for each field once in a place, and put fewer fragments together."
        yield limited("TOO_COSTLY", f"This takes more than {MAX_STEPS:,} steps to merge what it asks for: {words}")
    elif merging.deepest > DEEPEST:
        words = f"Fields are nested more than {DEEPEST} deep: {MAX_DEPTH} is allowed, and no fragment within itself."
        yield limited("TOO_DEEP", words)


class _Merging:
    # As validation does it (GraphQL, 5.3.2): what is asked for in one place, however often, is compared pair by pair.
    # A fragment is met wherever it stands, more often than it is written: that is counted too.
    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments
        self.steps = self.deepest = 0
        self._merged: set[tuple[int, ...]] = set()

    def _within(self, asked: SelectionSetNode) -> SelectionSetNode:
        # What a part that is a single fragment asks for is what the fragment does, however often it is spread.
        for _ in self._fragments:
            only = asked.selections[0] if len(asked.selections) == 1 else None
            if not isinstance(only, FragmentSpreadNode) or (named := self._fragments.get(only.name.value)) is None:
                break
            asked = named.selection_set
        return asked

    def merge(self, sets: list[SelectionSetNode], depth: int) -> None:
        self.deepest = max(self.deepest, depth)
        sets = [self._within(each) for each in sets]
        self.steps += 1
        if (these := tuple(sorted(map(id, sets)))) in self._merged:
            return
        self._merged.add(these)
        asked: Counter[str] = Counter()
        below: dict[str, list[SelectionSetNode]] = {}
        spread: set[str] = set()
        while sets:
            selections = sets.pop().selections
            self.steps += len(selections)
            for each in selections:
                if isinstance(each, FieldNode):
                    key = each.alias.value if each.alias else each.name.value
                    asked[key] += 1
                    if each.selection_set:
                        below.setdefault(key, []).append(each.selection_set)
                elif isinstance(each, InlineFragmentNode):
                    sets.append(each.selection_set)
                elif isinstance(each, FragmentSpreadNode) and each.name.value not in spread:
                    spread.add(each.name.value)
                    if (fragment := self._fragments.get(each.name.value)) is not None:
                        sets.append(fragment.selection_set)
        self.steps += sum(n * (n - 1) // 2 for n in (*asked.values(), len(spread)))
        for inner in below.values():
            if self.steps > MAX_STEPS or depth > DEEPEST:
                return
            self.merge(inner, depth + 1)


def excess(operations: Iterable[OperationDefinitionNode], fragments: Fragments) -> Iterator[GraphQLError]:
    """What is nested too deeply or called by too many other names, in a document that is valid."""
    for operation in operations:
        depth, aliases = _measured(operation.selection_set, fragments, {})
        if depth > MAX_DEPTH:
            yield limited("TOO_DEEP", f"Fields are nested {depth} deep; at most {MAX_DEPTH} is allowed.")
        if aliases > MAX_ALIASES:
            yield limited("TOO_MANY_ALIASES", f"There are {aliases} aliases; at most {MAX_ALIASES} are allowed.")


def _measured(selections: SelectionSetNode, fragments: Fragments, known: dict[str, tuple[int, int]]) -> tuple[int, int]:
    deepest, aliases = 0, 0
    for each in selections.selections:
        below, more = 0, 0
        if isinstance(each, FragmentSpreadNode):
            name = each.name.value
            if name not in known:
                known[name] = _measured(fragments[name].selection_set, fragments, known)
            below, more = known[name]
        elif isinstance(each, InlineFragmentNode):
            below, more = _measured(each.selection_set, fragments, known)
        elif isinstance(each, FieldNode):
            if each.selection_set and not each.name.value.startswith("__"):
                below, more = _measured(each.selection_set, fragments, known)
            below += 1
            more += each.alias is not None
        deepest, aliases = max(deepest, below), aliases + more
    return deepest, aliases
