"""People: invited, joined, affiliated; their personal data stand in events sealed only."""

from domain.people import affiliations, commands

__all__ = ["affiliations", "commands"]
