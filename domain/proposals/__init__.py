"""Joint proposals: drafted, confirmed by every partner, submitted, returned, recommended, awarded."""

from domain.proposals import commands, decisions, partners

__all__ = ["commands", "decisions", "partners"]
