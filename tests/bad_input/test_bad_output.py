"""Places that cannot be written, are full or taken, and exports that are told to stop half-way."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from workspace import Command, children_environment, leftovers

EXPORT = ("export", "--model", "tiny:classifier", "--target", "onnx", "--json")


def test_a_file_in_the_way(edgevision: Command, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("precious")
    ended = edgevision(*EXPORT, "--out", tmp_path / "out")
    assert ended.code == 8
    assert ended.error["thing"] == str(tmp_path / "out") and "--out" in ended.error["mend"]
    assert (tmp_path / "out").read_text() == "precious"


def test_a_folder_that_is_no_bundle(edgevision: Command, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    ended = edgevision(*EXPORT, "--out", tmp_path)
    assert ended.code == 8
    assert "precious" in ended.error["reason"]
    assert leftovers(tmp_path) == ["precious"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not permitted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk(edgevision: Command, small_disk: Path) -> None:
    """The weights alone are larger than the disk."""
    ended = edgevision(*EXPORT, "--out", small_disk / "out", "--model-arg", "classes=3000")
    assert ended.code == 8, ended.err
    assert ended.error["reason"] == "the disk is full"
    assert leftovers(small_disk) == []


def test_a_disk_that_fills_up_at_any_write(
    edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where nothing may be mounted: the system says so at the last file of the bundle."""
    real = Path.write_text

    def full(path: Path, text: str, **how: Any) -> int:
        if path.name == "manifest.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, text, **how)

    monkeypatch.setattr(Path, "write_text", full)
    ended = edgevision(*EXPORT, "--out", tmp_path / "out")
    assert ended.code == 8
    assert ended.error["reason"] == "the disk is full" and ended.error["thing"] == str(tmp_path / "out")
    assert leftovers(tmp_path) == []


def test_a_place_that_cannot_be_written(edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the system's answer is given in its place."""

    def deny(*_: object, **how: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(how["dir"]))

    monkeypatch.setattr("edgevision.bundle.tempfile.mkdtemp", deny)
    ended = edgevision(*EXPORT, "--out", tmp_path / "out")
    assert ended.code == 8
    assert "permission denied" in ended.error["reason"]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("place", ["/proc/edgevision/out", "/sys/edgevision/out", "/dev/null/out"])
def test_places_of_the_system(edgevision: Command, place: str) -> None:
    assert edgevision(*EXPORT, "--out", place).code == 8


def test_profile_and_run_write_whole_files(edgevision: Command, tiny_bundle: Path, tmp_path: Path) -> None:
    import numpy as np

    array = tmp_path / "a.npy"
    np.save(array, np.zeros((3, 32, 32), np.float32))
    (tmp_path / "folder").mkdir()
    for command in (("run", tiny_bundle, array), ("profile", tiny_bundle, "--runs", "10")):
        ended = edgevision(*command, "--out", tmp_path / "folder", "--json")
        assert ended.code == 8
        assert ended.error["thing"] == str(tmp_path / "folder")
    assert leftovers(tmp_path / "folder") == []


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts in the background
import edgevision.stages.{module} as stage

def stuck(*_, **__):
    print("in the middle", flush=True)
    while True:
        time.sleep(0.05)

import {patched} as module
module.{name} = stuck
from edgevision.cli.main import main
sys.argv = ["edgevision", *sys.argv[1:]]
main()
"""
STAGES = {
    "load": ("load", "edgevision.stages.load", "create"),
    "capture": ("graph", "edgevision.stages.graph", "capture"),
    "compile": ("compile", "edgevision.pipeline", "compile_graph"),
}


def start(out: Path, stage: str) -> subprocess.Popen[str]:
    """An export that has got as far as `stage` and stays there."""
    module, patched, name = STAGES[stage]
    script = SLOW.format(module=module, patched=patched, name=name)
    process = subprocess.Popen(
        [sys.executable, "-c", script, *EXPORT, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=children_environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    return process


@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [("load", signal.SIGINT, 130), ("capture", signal.SIGINT, 130), ("compile", signal.SIGTERM, 143)],
)
def test_told_to_stop_in_the_middle(tmp_path: Path, stage: str, number: signal.Signals, code: int) -> None:
    """Nothing half-written is left, and an earlier bundle stays as it was."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text("earlier")
    process = start(out, stage)
    assert len(leftovers(tmp_path)) > 1, "it has begun to write"
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert json.loads(stdout)["error"]["exit_code"] == code
    assert "nothing half-written" in stderr and "Traceback" not in stderr
    assert leftovers(tmp_path) == ["out"]
    assert (out / "manifest.json").read_text() == "earlier"


def test_two_exports_into_one_folder(edgevision: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = start(out, "load")
    try:
        begun = time.monotonic()
        ended = edgevision(*EXPORT, "--out", out)
        assert time.monotonic() - begun < 20, "it fails at once, not when the first has ended"
        assert ended.code == 8
        assert f"process {first.pid}" in ended.error["reason"]
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
    assert leftovers(tmp_path) == []


def test_a_changed_file_is_noticed(edgevision: Command, scanner_bundle: Path, tmp_path: Path) -> None:
    """`verify` reads every file of the bundle."""
    manifest = json.loads((scanner_bundle / "manifest.json").read_text())
    assert {"model.onnx", "sample.npz"} <= set(manifest["files"])
    for name in manifest["files"]:
        bundle = tmp_path / f"{name}-changed"
        shutil.copytree(scanner_bundle, bundle)
        content = (bundle / name).read_bytes()
        (bundle / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        ended = edgevision("verify", bundle, "--json")
        assert ended.code == 7
        assert ended.error["thing"] == str(bundle / name)
        assert "not what the manifest says" in ended.error["reason"]
