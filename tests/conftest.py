"""Fixtures that every test may ask for."""

import os

pytest_plugins = [
    "tests.support.postgres",
    "tests.support.temporal",
    "tests.support.desk",
    "tests.support.nursery",
    "tests.support.documents",
    "tests.support.site",
]

WORKERS_PER_CORE = 2
"""Half of the time a test waits for a timer, a ledger or another process."""


def pytest_xdist_auto_num_workers(config) -> int:
    """How many processes `-n auto` means."""
    return WORKERS_PER_CORE * (os.cpu_count() or 1)
