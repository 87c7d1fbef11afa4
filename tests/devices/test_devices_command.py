"""`edgevision devices` against a real sshd."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sshd import Sshd
from typer.testing import CliRunner

from edgevision.cli.main import app
from edgevision.devices.named import VARIABLE
from edgevision.errors import UsageError


@pytest.fixture
def listed(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    file = tmp_path / "devices.toml"
    file.write_text(f'[loopback]\naddress = "{server.address}"\nssh_config = "{server.config}"\nemulated = true\n')
    monkeypatch.setenv(VARIABLE, str(file))
    return "loopback"


def asked(*words: str) -> dict[str, object]:
    done = CliRunner().invoke(app, ["devices", *words, "--json"])
    assert done.exit_code == 0, done.output
    document: dict[str, object] = json.loads(done.stdout)
    return document


def test_list_check_probe(listed: str, server: Sshd) -> None:
    (entry,) = asked("list")["devices"]  # type: ignore[misc]
    assert (entry["name"], entry["address"], entry["emulated"]) == (listed, server.address, True)
    checked = asked("check", listed)
    assert checked["arch"] == os.uname().machine
    assert checked["emulated"] is True
    assert list(server.tmp.iterdir()) == []
    probe = asked("probe", listed)["probe"]
    assert isinstance(probe, dict)
    assert probe["arch"] == checked["arch"]


def test_this_machine_is_a_device_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none.toml"))
    assert asked("check", "local")["arch"] == os.uname().machine
    probe = asked("probe", "local")["probe"]
    assert isinstance(probe, dict)
    assert probe["kernel"].startswith(os.uname().sysname)
    assert not list(tmp_path.glob("edgevision*"))


def test_unknown_name_lists_the_known(listed: str) -> None:
    done = CliRunner().invoke(app, ["devices", "check", "nobody"])
    assert isinstance(done.exception, UsageError)
    assert listed in done.exception.reason
