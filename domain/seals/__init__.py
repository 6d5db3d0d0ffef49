"""Seals of read models: what they were at a position, recorded as events, so that witnesses cover it.

A seal's ``root`` is the RFC 6962 root over the model's rows in the order of their keys, each in canonical JSON (RFC
8785); its ``code`` is the digest of the folds that made them.
"""
