from __future__ import annotations

from collections.abc import Iterator

import pytest
from sshd import Sshd, running_sshd


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One sshd for all tests that leave it as it was."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running
