from collections.abc import Iterator

import pytest
from tests.support.up import Up, running_up


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One service for all tests that only use it."""
    with running_up(tmp_path_factory.mktemp("up") / "data") as running:
        running.make("programs", key="main", name="Main", currency="EUR", timezone="Europe/Berlin")
        yield running
