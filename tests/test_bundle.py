"""Bundles appear whole or not at all, are written by one export at a time, and cannot be left by a path."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from workspace import children_environment, leftovers

from edgevision.bundle import inside, open_bundle, staged_bundle
from edgevision.errors import DataError, OutputError
from edgevision.whole_file import whole_file


def write(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)


def test_appears_when_the_block_ends(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with staged_bundle(out) as folder:
        write(folder, "new")
        assert not out.exists()
    assert (out / "manifest.json").read_text() == "new"
    assert leftovers(out.parent) == ["out"]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt, SystemExit])
def test_failing_leaves_the_earlier_bundle(tmp_path: Path, stop: type[BaseException]) -> None:
    out = tmp_path / "out"
    with staged_bundle(out) as folder:
        write(folder, "old")
    with pytest.raises(stop), staged_bundle(out) as folder:
        write(folder, "half")
        raise stop
    assert (out / "manifest.json").read_text() == "old"
    assert leftovers(tmp_path) == ["out"]


def test_replaces_an_earlier_bundle_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with staged_bundle(out) as folder:
        write(folder, "old")
        (folder / "old.bin").touch()
    with staged_bundle(out) as folder:
        write(folder, "new")
    assert leftovers(out) == ["manifest.json"]
    assert leftovers(tmp_path) == ["out"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    with staged_bundle(tmp_path / "link") as folder:
        write(folder, "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "manifest.json").read_text() == "new"


def test_what_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=r"not a bundle.*thesis\.tex"), staged_bundle(tmp_path):
        pytest.fail("must not begin")
    assert leftovers(tmp_path) == ["thesis.tex"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="is a file"), staged_bundle(out):
            pytest.fail("must not begin")


def test_the_current_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for out in (Path(), tmp_path, tmp_path.parent):
        with pytest.raises(OutputError, match="folder you are in"), staged_bundle(out):
            pytest.fail("must not begin")


HOLD = """
import sys, time
from pathlib import Path
from edgevision.bundle import staged_bundle
with staged_bundle(Path(sys.argv[1])) as folder:
    (folder / "manifest.json").write_text("first")
    print("holding", flush=True)
    time.sleep(60)
"""


def hold(out: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True, env=children_environment()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    return process


def test_two_at_once(tmp_path: Path) -> None:
    """The second fails at once and names the first; when the first is killed, its place is free and is swept."""
    out = tmp_path / "out"
    first = hold(out)
    try:
        begun = time.monotonic()
        with pytest.raises(OutputError, match=f"process {first.pid}"), staged_bundle(out):
            pytest.fail("must not begin")
        assert time.monotonic() - begun < 10
    finally:
        first.kill()
        first.wait()
        assert first.stdout is not None
        first.stdout.close()
    assert any(".partial-" in name for name in leftovers(tmp_path))
    with staged_bundle(out) as folder:
        write(folder, "second")
    assert (out / "manifest.json").read_text() == "second"
    assert leftovers(tmp_path) == ["out"]


def test_two_names_at_once_do_not_meet(tmp_path: Path) -> None:
    with staged_bundle(tmp_path / "a") as a, staged_bundle(tmp_path / "b") as b:
        write(a, "a")
        write(b, "b")
    assert leftovers(tmp_path) == ["a", "b"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
    ],
)
def test_the_systems_reasons_in_words(tmp_path: Path, number: int, reason: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputError, match=reason) as caught, staged_bundle(out) as folder:
        raise OSError(number, os.strerror(number), str(folder / "model.onnx"))
    assert caught.value.thing == str(out)
    assert leftovers(tmp_path) == []


def test_other_files_are_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), staged_bundle(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/else/weights.pth")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_parent(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission denied"), staged_bundle(tmp_path / "out"):
        pytest.fail("must not begin")


def test_open_refuses_what_is_no_bundle(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="not a bundle"):
            open_bundle(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"schema_version": 99}', '{"schema_version": 1}', '{"schema_version": 1, "model": 3}'],
)
def test_open_refuses_a_damaged_manifest(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(DataError):
        open_bundle(tmp_path)


@pytest.mark.parametrize("where", ["graph", "artifact"])
@pytest.mark.parametrize("path", ["../secret.onnx", "/etc/hostname", "link/secret.onnx"])
def test_open_refuses_paths_that_leave(tiny_bundle: Path, tmp_path: Path, where: str, path: str) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    (tmp_path / "secret.onnx").touch()
    (bundle / "link").symlink_to(tmp_path, target_is_directory=True)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest[where]["path"] = path
    write(bundle, json.dumps(manifest))
    with pytest.raises(DataError, match="leaves the bundle"):
        open_bundle(bundle)


def test_inside_lets_ordinary_paths_through(tmp_path: Path) -> None:
    assert inside(tmp_path, "a/b.onnx") == tmp_path.resolve() / "a" / "b.onnx"


def test_a_missing_part_is_named(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    (bundle / "model.onnx").unlink()
    with pytest.raises(DataError, match=r"model\.onnx is missing"):
        open_bundle(bundle)


def test_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with whole_file(path) as staging:
        staging.write_text("whole")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), whole_file(path) as staging:
        staging.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "whole"
    assert leftovers(path.parent) == ["file.txt"]
    with pytest.raises(OutputError, match="is a folder"), whole_file(tmp_path):
        pytest.fail("must not begin")
    with pytest.raises(OutputError, match="No space left"), whole_file(path) as staging:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
