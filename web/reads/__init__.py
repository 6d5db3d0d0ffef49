"""Queries compiled, not resolved: one operation is one SQL statement that returns the finished JSON."""
