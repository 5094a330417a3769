"""One running stack for all tests that leave it running."""

import pytest

from tests.local.stacks import Up


@pytest.fixture(scope="session")
def up(tmp_path_factory):
    """A real `mintkeeper up`."""
    with Up(tmp_path_factory.mktemp("stack") / "data") as running:
        yield running
