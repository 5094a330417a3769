"""Reaching the ledger exactly once inside a time bound, or provably never."""
