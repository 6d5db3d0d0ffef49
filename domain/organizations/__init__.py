"""Organizations: universities, laboratories, data centers, technology parks, ministries and their officers."""

from domain.organizations import commands, offices

__all__ = ["commands", "offices"]
