"""Where the tests are and which take longest, what a folder holds, and how a command ended."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
#: Files of a minute and more. They start first: in a parallel run the last one to finish decides when it ends.
LONGEST = (
    "test_driver.py",
    "test_parity.py",
    "test_scale.py",
    "test_backend_nodes.py",
    "test_coreml_mobilemamba.py",
    "test_wheel.py",
    "test_trt_mobilemamba.py",
    "test_full_path.py",
    "test_bad_inputs.py",
    "test_export_int8.py",
    "test_cfsr_int8.py",
    "test_onnxruntime.py",
    "test_timm_training_forms.py",
    "test_bad_output.py",
)


def children_environment() -> dict[str, str]:
    """For processes that import edgevision and the tests' models from this checkout, wherever they run."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(TESTS)))}


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One worker at a time: parallel ones share the folders under build/."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def leftovers(folder: Path) -> list[str]:
    """Names in `folder`, hidden ones too: what an export that failed has left."""
    return sorted(p.name for p in folder.iterdir())


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def error(self) -> dict[str, Any]:
        """What the document says of the error."""
        found: dict[str, Any] = self.document["error"]
        return found


Command = Callable[..., Ended]
