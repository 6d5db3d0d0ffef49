"""The audit: the tree over the log, its seals and witnesses, mirrors, and the digests of the read models."""
