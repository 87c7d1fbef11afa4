"""Devices, profiles and reports given wrongly on the command line: the exit code, the message, and that nothing ran."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from workspace import Command

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "devices"), str(TESTS / "report")]

from documents import profile  # noqa: E402
from small_bundle import small_bundle  # noqa: E402
from sshd import Sshd, running_sshd  # noqa: E402


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("bundle") / "small")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.mark.parametrize(
    "address",
    [
        "ssh://host;touch WITNESS",
        "ssh://$(touch WITNESS)",
        "ssh://-oProxyCommand=touch",
        "adb://`touch WITNESS`",
        "orin",
    ],
)
def test_hostile_and_unknown_devices_are_usage_errors(
    edgevision: Command, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEVISION_DEVICES", str(tmp_path / "none.toml"))
    ended = edgevision("profile", bundle, "--device", address.replace("WITNESS", str(tmp_path / "witness")), "--json")
    assert ended.code == 2
    assert ended.error["mend"]
    assert list(tmp_path.iterdir()) == []


def test_names_of_files_and_models_never_reach_a_shell(
    edgevision: Command, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle in a folder with a hostile name, for a device whose paths are hostile: arguments only."""
    witness = tmp_path / "witness"
    bundle = small_bundle(tmp_path / f"a b;touch {witness.name};$(touch {witness.name})")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "devices.toml"
    lines = [f'address = "{sshd.address}"', f'ssh_config = "{sshd.config}"']
    lines += [f'onnxruntime = "$(touch {witness});x.so"', f'folder = "{sshd.tmp}"']
    file.write_text("\n".join(("[box]", *lines)))
    monkeypatch.setenv("EDGEVISION_DEVICES", str(file))
    ended = edgevision("profile", bundle, "--device", "box", "--json")
    assert ended.code == 6
    assert not witness.exists()
    assert list(sshd.tmp.iterdir()) == []


def test_no_space_there(
    edgevision: Command, sshd: Sshd, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "devices.toml"
    lines = [f'address = "{sshd.address}"', f'ssh_config = "{sshd.config}"', f'folder = "{sshd.folder / "absent"}"']
    file.write_text("\n".join(("[box]", *lines)))
    monkeypatch.setenv("EDGEVISION_DEVICES", str(file))
    ended = edgevision("profile", bundle, "--device", "box", "--json")
    assert ended.code == 6
    assert "no folder can be made" in ended.error["reason"]


def test_devices_file_that_is_not_toml(
    edgevision: Command, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "devices.toml").write_text("[orin")
    monkeypatch.setenv("EDGEVISION_DEVICES", str(tmp_path / "devices.toml"))
    ended = edgevision("profile", bundle, "--device", "orin", "--json")
    assert ended.code == 2
    assert ended.error["thing"].endswith("devices.toml")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty"),
        (json.dumps(profile("a", "fp32", "orin", median=3))[:300], "cut short"),
        (json.dumps({**profile("a", "fp32", "orin", median=3), "schema_version": 2}), "schema version is 2"),
        ("{}", "schema version is None"),
    ],
)
def test_report_of_files_that_are_none(edgevision: Command, tmp_path: Path, content: str, reason: str) -> None:
    file, out = tmp_path / "profile.json", tmp_path / "report.html"
    file.write_text(content)
    ended = edgevision("report", file, "--html", out)
    assert ended.code == 7
    assert reason in ended.err
    assert not out.exists()


def test_report_of_nothing(edgevision: Command, tmp_path: Path) -> None:
    assert edgevision("report", "--html", tmp_path / "r.html").code == 2
    assert edgevision("report", tmp_path / "absent.json", "--html", tmp_path / "r.html").code == 7
    good = tmp_path / "good.json"
    good.write_text(json.dumps(profile("a", "fp32", "orin", median=3)))
    assert edgevision("report", good).code == 2
    (tmp_path / "folder").mkdir()
    assert edgevision("report", good, "--html", tmp_path / "folder").code == 8
