"""Addresses and devices.toml: what is understood, and that nothing else gets through."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevision.devices.adb import AdbTransport, parse_adb
from edgevision.devices.named import VARIABLE, find_device, read_devices
from edgevision.devices.probe import parse_probe, state_of
from edgevision.devices.ssh import SshTransport, parse_ssh
from edgevision.errors import DeviceError, UsageError


def test_addresses() -> None:
    assert parse_ssh("ssh://orin") == SshTransport(host="orin")
    assert parse_ssh("ssh://me@10.0.0.2:2222") == SshTransport(host="10.0.0.2", user="me", port=2222)
    assert parse_ssh("ssh://[fe80::1%eth0]:22") == SshTransport(host="fe80::1%eth0", port=22)
    assert parse_adb("adb://192.168.1.5:5555") == AdbTransport(serial="192.168.1.5:5555")


@pytest.mark.parametrize(
    "address",
    [
        "ssh://-oProxyCommand=touch",
        "ssh://-l@host",
        "ssh://host;id",
        "ssh://$(id)",
        "ssh://a b",
        "ssh://host:port",
        "ssh://",
        "ssh://host/../..",
        "adb://-s",
        "adb://a;id",
        "adb://",
        "ftp://host",
    ],
)
def test_hostile_addresses_are_refused(address: str) -> None:
    with pytest.raises(UsageError):
        find_device(address)


def test_strict_keys_and_no_questions_whatever_the_config_says() -> None:
    command = parse_ssh("ssh://me@orin:7").command("echo 'x'; true")
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes"} <= set(command)
    assert command[-3:] == ["--", "orin", "exec sh -c 'echo '\"'\"'x'\"'\"'; true'"]


def test_devices_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "devices.toml"
    monkeypatch.setenv(VARIABLE, str(file))
    assert read_devices() == {}
    file.write_text('[orin]\naddress = "ssh://me@orin"\nemulated = true\n[phone]\naddress = "adb://R58"\n')
    assert find_device("orin").emulated
    assert find_device("phone").transport() == AdbTransport(serial="R58")
    with pytest.raises(UsageError, match="neither an address nor one of local, orin, phone"):
        find_device("oring")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[a", "cannot be read"),
        ("[a]\n", "no address"),
        ('[a]\naddress = "ssh://h"\nemulatd = true\n', "not understood"),
        ('[a]\naddress = "ssh://h"\nemulated = "no"\n', "a bool is wanted"),
        ('[a]\naddress = "ssh://h;id"\n', "not of the form"),
        ('[local]\naddress = "ssh://h"\n', "name of its own"),
        ('a = "ssh://h"\n', "name of its own"),
    ],
)
def test_bad_devices_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "devices.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=reason):
        read_devices(file)


def test_probe_cut_short_is_refused_and_absent_sensors_are_none() -> None:
    text = (
        "arch=aarch64\npolicy0.scaling_governor=schedutil\nnvpmodel|NV Power Mode: MAXN\nnvpmodel|0\nzone.0.CPU=48500\n"
    )
    with pytest.raises(DeviceError, match="to the end"):
        parse_probe(text, "orin")
    found = parse_probe(text + "end=1\n", "orin")
    assert found["nvpmodel"] == "NV Power Mode: MAXN\n0"
    state = state_of(found)
    assert (state["governor"], state["temperature_c"]) == ("schedutil", 48.5)
    assert state["clock_mhz"] is None
    assert state["load_1min"] is None
    assert state["cooling"] is None
