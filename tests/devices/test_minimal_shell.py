"""Devices whose shell and tools are busybox's, as on small Linux boards, or mksh and toybox, as on Android; over a real sshd."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_bundle import small_bundle
from sshd import Sshd, running_sshd
from test_remote_profile import named, needs_runner, needs_runtime

from edgevision.devices import sampling as sampling_module
from edgevision.devices.device import DeviceLostError
from edgevision.devices.local import ProfileOptions
from edgevision.devices.named import open_device
from edgevision.devices.remote_profile import profile_device
from edgevision.devices.runner import runtime_library
from edgevision.errors import DeviceError

#: All that the scripts may call; Debian's toybox lacks `tr`, Android's has it.
TOOLS = (
    "timeout",
    "mktemp",
    "cat",
    "rm",
    "mkdir",
    "mv",
    "chmod",
    "wc",
    "sed",
    "head",
    "sleep",
    "uname",
    "printf",
    "ls",
)
SHELLS = {"busybox": ("busybox", (*TOOLS, "tr", "sh")), "toybox": ("toybox", TOOLS)}


@pytest.fixture(scope="module", params=list(SHELLS))
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server where nothing but these tools is found."""
    program, tools = SHELLS[request.param]
    links = {tool: shutil.which(program) for tool in tools}
    if request.param == "toybox":
        links |= {"sh": shutil.which("mksh"), "tr": shutil.which("tr")}
    missing = {program if tool in tools else tool for tool, path in links.items() if path is None}
    if missing:
        pytest.skip(f"not installed here: {', '.join(sorted(missing))}")
    folder = tmp_path_factory.mktemp(request.param)
    for tool, path in links.items():
        (folder / tool).symlink_to(str(path))
    with running_sshd(tmp_path_factory.mktemp("server"), str(folder)) as running:
        yield running


@needs_runner
@needs_runtime
def test_profile_there(small: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_module, "INTERVAL", 0.05)  # more readings in less time
    device = named(small, onnxruntime=str(runtime_library()))
    document = profile_device(small_bundle(tmp_path / "small"), device, ProfileOptions(runs=25, seconds=0.8))
    assert document["parity"]["max_abs_over_std"] < 1e-5
    assert document["runs"] == len(document["latency_ms"]["samples"]) >= 25
    assert document["sensors"]["stolen"] is not None  # the sampling script ran there too
    assert document["environment"]["after"]["probe"]["arch"]
    assert small.left() == []


def test_what_runs_there_is_bounded_and_killed_with_the_connection(small: Sshd) -> None:
    lines: list[str] = []
    with open_device(named(small)) as device:
        with pytest.raises(DeviceError, match="longer than 1 s") as caught:
            device.run(["sh", "-c", "echo $$; exec sleep 600"], seconds=1, on_line=lines.append)
        assert not isinstance(caught.value, DeviceLostError)
        with pytest.raises(DeviceError, match="another profile"), open_device(named(small)):
            pass
    with open_device(named(small)) as device, pytest.raises(DeviceLostError):
        device.run(
            ["sh", "-c", "echo $$; exec sleep 600"], seconds=100, on_line=lambda line: (lines.append(line), small.cut())
        )
    assert len(lines) == 2
    assert small.left() == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in lines)
