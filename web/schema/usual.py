"""What names mean wherever they stand: Relay's, and the arguments that all lists have. All else is said in its file."""

from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema

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


def _fields(type: GraphQLObjectType | GraphQLInterfaceType) -> None:
    for name, field in type.fields.items():
        field.description = field.description or FIELDS.get(name)
        for argument, each in field.args.items():
            each.description = each.description or ARGUMENTS.get(argument)
