"""Bundles on disk: a folder that appears whole or not at all, and is written by one export at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgevision.errors import DataError, OutputError
from edgevision.manifest import Manifest, read_manifest

__all__ = ["MANIFEST", "MODEL", "inside", "open_bundle", "open_record", "staged_bundle"]

MANIFEST = "manifest.json"
MODEL = "model.onnx"


@contextlib.contextmanager
def staged_bundle(out: Path) -> Iterator[Path]:
    """An empty folder beside `out` to write a bundle into; it becomes `out` when the block ends well.

    The block failing, or being interrupted, leaves `out` as it was.

    Raises:
        OutputError: `out` is a file or holds something that is not a bundle, its parent cannot be written or is
            full, or another export is writing to it.
    """
    place = out.resolve()  # what a link points at is replaced, not the link
    _check_replaceable(out, place)
    with _blaming(out, place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(out, place):
            _sweep(place)
            staging = Path(tempfile.mkdtemp(prefix=_partial(place), dir=place.parent))
            try:
                yield staging
                _swap(staging, place)
            finally:
                shutil.rmtree(staging, ignore_errors=True)


def _partial(place: Path) -> str:
    return f".{place.name}.partial-"


def _sweep(place: Path) -> None:
    """Remove what exports to this place that were killed left half-written; we hold the lock, so none is running."""
    for leftover in place.parent.glob(f"{glob.escape(_partial(place))}*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def _blaming(out: Path, parent: Path) -> Iterator[None]:
    """Turn what the system says of the output folder into our error; what it says of other files is not about it."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        ours = error.filename is None or Path(str(error.filename)).absolute().is_relative_to(parent)
        ours = ours or parent.is_relative_to(Path(str(error.filename)).absolute())
        if error.errno not in _REASONS or not (ours or full):
            raise
        raise _output_error(out, error) from error


_CHOOSE = "choose another folder with --out"
_FREE = "free some space or choose another disk with --out"
_REASONS = {
    errno.EACCES: ("it cannot be written (permission denied)", _CHOOSE),
    errno.EPERM: ("it cannot be written (not permitted)", _CHOOSE),
    errno.EROFS: ("it is on a read-only file system", _CHOOSE),
    errno.ENOSPC: ("the disk is full", _FREE),
    errno.EDQUOT: ("the disk quota is used up", _FREE),
    errno.ENOENT: ("a folder on its path is missing and cannot be made", _CHOOSE),
    errno.ENOTDIR: ("a part of its path is a file", _CHOOSE),
    errno.EEXIST: ("a part of its path is a file", _CHOOSE),
    errno.ENAMETOOLONG: ("its name is too long", _CHOOSE),
    errno.EBUSY: ("it is in use (a mount point?)", _CHOOSE),
}


def _output_error(out: Path, error: OSError) -> OutputError:
    reason, mend = _REASONS.get(error.errno or 0, (f"it cannot be used ({error})", _CHOOSE))
    return OutputError(str(out), reason, mend)


def _check_replaceable(out: Path, place: Path) -> None:
    if Path.cwd().is_relative_to(place):
        raise OutputError(str(out), "it is the folder you are in, or holds it", "name a new folder with --out")
    try:
        if not place.exists():
            return
        if not place.is_dir():
            raise OutputError(str(out), "it is a file, not a folder", _CHOOSE)
        contents = sorted(p.name for p in place.iterdir())
    except OSError as error:
        raise _output_error(out, error) from error
    if contents and MANIFEST not in contents:
        raise OutputError(
            str(out),
            f"it holds files that are not a bundle ({', '.join(contents[:3])})",
            "choose an empty or new folder with --out; only an earlier bundle is replaced",
        )


@contextlib.contextmanager
def _exclusive(out: Path, place: Path) -> Iterator[None]:
    """Hold a lock on `place`, or fail at once naming who holds it. The kernel drops the lock when its holder dies."""
    path = place.parent / f".{place.name}.lock"
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists() or os.fstat(lock.fileno()).st_ino != path.stat().st_ino:
                raise BlockingIOError  # its last holder removed the file between our open and our lock
        except BlockingIOError as error:
            lock.seek(0)
            holder = _holder(lock.read())
            raise OutputError(
                str(out), f"another export is writing to it ({holder})", "wait for it to end, or choose another --out"
            ) from error
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid(), "since": time.strftime("%H:%M:%S")}))
        lock.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _holder(text: str) -> str:
    try:
        who = json.loads(text)
        return f"process {int(who['pid'])}, since {who['since']}"
    except (ValueError, KeyError, TypeError):
        return "process unknown"


def _swap(staging: Path, out: Path) -> None:
    """Move `staging` to `out`; an earlier bundle there survives until the new one stands."""
    staging.chmod(0o755)
    if not out.exists():
        staging.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old-", dir=out.parent))
    out.rename(old / "bundle")
    try:
        staging.rename(out)
    except OSError:
        (old / "bundle").rename(out)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def open_bundle(path: Path) -> Manifest:
    """The manifest of the bundle at `path`, checked to point only at files that are there.

    Raises:
        DataError: not a bundle, or one with missing files or with paths that leave it.
    """
    if not path.is_dir() or not (path / MANIFEST).is_file():
        raise DataError(str(path), f"not a bundle (no {MANIFEST} in it)", "name a folder made by `edgevision export`")
    manifest = read_manifest(path / MANIFEST)
    for part in (manifest.graph.path, str(manifest.artifact.get("path", ""))):
        if not inside(path, part).exists():
            raise DataError(str(path), f"its file {part} is missing", "export the bundle again")
    return manifest


def open_record(path: Path, manifest: Manifest) -> dict[str, Any] | None:
    """What the target's build wrote of its artifact; None where the target writes nothing.

    Raises:
        DataError: the file is missing or damaged.
    """
    from edgevision.targets.target import targets

    entry = targets().get(manifest.target["name"])
    if entry is None or not entry.record:
        return None
    file = inside(path, entry.record)
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(str(file), f"the build's record cannot be read ({error})", "export the bundle again") from error
    return record


def inside(bundle: Path, part: str) -> Path:
    """`bundle / part`, refused when it leaves the bundle.

    Raises:
        DataError: `part` is absolute or climbs out, by `..` or by a link.
    """
    target = (bundle / part).resolve()
    if not target.is_relative_to(bundle.resolve()):
        raise DataError(
            str(bundle), f"its path {part!r} leaves the bundle", "do not use this bundle: it was tampered with"
        )
    return target
