"""What names mean wherever they stand: fields, arguments and values that are described in no file of their own."""

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
)

ARGUMENTS = {
    "after": "A cursor of this list, from `pageInfo.endCursor`: the page begins behind it.",
    "first": "At most 100.",
    "where": "Which ones; left out, all that you may read.",
    "orderBy": "The order; `null` means the default.",
    "id": "Its id.",
    "input": "What the command is given.",
    "position": "A position of the log.",
    "at": "A time: as it was when everything was recorded that was recorded until then.",
}
FIELDS = {
    "id": "As in `proposal_01k…`: it names the kind, sorts by creation time, and never changes.",
    "edges": "What is on this page, each with its place in the list.",
    "nodes": "What is on this page.",
    "pageInfo": "Where this page begins and ends.",
    "cursor": "Its place in the list, for `after`.",
    "node": "What stands there.",
    "hasNextPage": "Whether something follows this page.",
    "hasPreviousPage": "Whether something stands before this page.",
    "startCursor": "The cursor of the first on this page; `null` where the page is empty.",
    "endCursor": "The cursor of the last on this page, for `after` of the next; `null` where the page is empty.",
    "abstract": "What the applicants want to find out, how, and why together. Markdown.",
    "affiliations": "Where they say that they work, and have worked.",
    "answeredAt": "When it confirmed or declined last.",
    "blindness": "Who knows whom in reviews.",
    "call": "The call that it is for.",
    "changedAt": "When the newest event of its history was recorded.",
    "city": "In the language in which it was recorded.",
    "code": "Stable: programs may rely on it.",
    "count": "How many there are.",
    "draftedAt": "When it was begun.",
    "event": "What happened.",
    "figures": "Its key figures.",
    "from": "The place of the lead organization.",
    "to": "The place of the partner.",
    "kind": "Of which kind it is.",
    "language": "BCP 47, in small letters.",
    "level": "The highest level of risk of any use.",
    "name": "What it is called.",
    "names": "What it is called in other languages.",
    "organization": "The organization.",
    "person": "The person, where you may know them.",
    "personalData": "Whether personal data are used.",
    "position": "The position that they hold there.",
    "registeredAt": "When it was registered here, or imported from ROR.",
    "role": "What they may do in the whole hub.",
    "roles": "What they may do in the whole hub, where you may know it.",
    "since": "From when on.",
    "until": "Until when; `null` while it lasts.",
    "status": "How far it has come.",
    "submittedAt": "When it was submitted last; `null` before that.",
    "text": "The name.",
    "title": "What it is called, in a few words.",
    "version": "Its number: 1, 2, 3 …",
    "website": "The address of its website.",
}
INPUTS = {
    "affiliation": "The id of the affiliation, from `Person.affiliations`.",
    "call": "Those for this call.",
    "investigator": "Those of this principal investigator.",
    "lead": "Those that this organization leads.",
    "kind": "Those of one of these kinds.",
    "status": "In any of these statuses.",
}
LANGUAGES = {
    "EN": "English.",
    "RU": "Russian.",
    "TG": "Tajik.",
    "KY": "Kyrgyz.",
    "KK": "Kazakh.",
    "UZ": "Uzbek.",
    "TK": "Turkmen.",
}


def describe(schema: GraphQLSchema) -> None:
    """Describe what is not: a field by the interface that it is from, else by what its name means everywhere."""
    types = [each for name, each in schema.type_map.items() if not name.startswith("__")]
    for type in types:
        if isinstance(type, GraphQLInterfaceType):
            _fields(type)
    for type in types:
        if isinstance(type, GraphQLObjectType):
            for interface in reversed(type.interfaces):
                for name, field in interface.fields.items():
                    own = type.fields[name]
                    own.description = own.description or field.description
            _fields(type)
        elif isinstance(type, GraphQLInputObjectType):
            for name, each in type.fields.items():
                each.description = each.description or INPUTS.get(name)
        elif isinstance(type, GraphQLEnumType):
            for name, value in type.values.items():
                value.description = value.description or _meaning(name)


def _fields(type: GraphQLObjectType | GraphQLInterfaceType) -> None:
    for name, field in type.fields.items():
        field.description = field.description or FIELDS.get(name)
        for argument, each in field.args.items():
            each.description = each.description or ARGUMENTS.get(argument)


def _meaning(value: str) -> str:
    # A kind of something is called what it is.
    if value in LANGUAGES:
        return LANGUAGES[value]
    words = value.lower().replace("_", " ")
    if words == "other":
        return "None of these."
    return f"{'An' if words[0] in 'aeio' else 'A'} {words}."
