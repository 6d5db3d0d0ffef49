"""Joint proposals: drafted, confirmed by every partner, submitted, returned, recommended, awarded."""
