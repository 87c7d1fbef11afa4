from __future__ import annotations

from collections.abc import Iterator

import pytest
from sshd import Sshd, running_sshd


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One sshd for the tests of a file."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running
