"""Calls for proposals, and their rounds."""
