"""People: invited, joined, affiliated; their personal data stand in events sealed only."""
