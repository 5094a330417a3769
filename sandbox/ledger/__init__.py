"""A Stellar ledger in one process: real envelopes, real signatures, Horizon's answers, no network.

It is a test double and says so. Its rules follow what a real stellar-core answered in the conformance
recordings under ``tests/conformance``.
"""
