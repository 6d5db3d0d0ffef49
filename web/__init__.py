"""Shows what happens: the GraphQL API and the pages that consume it."""
