"""Our C++ runner: where it is, the files it reads and writes, and the lines it streams. See plugins/runner/main.cc."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import DeviceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = ["RUNNER", "Told", "kernel_library", "read_tensors", "runner_path", "runtime_library", "write_tensors"]

RUNNER = "edgevision_runner"
VARIABLE = "EDGEVISION_RUNNER"

#: numpy's names of the element types of ONNX Runtime's C API, by number.
_TYPES = {1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool"}
_TYPES |= {10: "float16", 11: "float64", 12: "uint32", 13: "uint64"}


def runner_path(arch: str = "") -> Path | None:
    """The runner built for a processor, this machine's when none is named; None when it was not built."""
    named = os.environ.get(VARIABLE)
    if named and _own(arch):
        return Path(named) if Path(named).is_file() else None
    return _built(RUNNER, arch)


def kernel_library(arch: str) -> Path | None:
    """Our kernel library cross-built for another processor (`make runner`); None when it was not built."""
    return _built("libedgevision_ops.so", arch)


def _own(arch: str) -> bool:
    return arch in ("", platform.machine())


def _built(name: str, arch: str) -> Path | None:
    from edgevision import native

    root = Path(__file__).resolve().parents[2] / "build"
    library = native.library_path() if _own(arch) else None
    folders = [root / "native"] if _own(arch) else [root / f"{arch}-linux"]
    candidates = [*([library.parent / name] if library else []), *(folder / name for folder in folders)]
    return next((path for path in candidates if path.is_file()), None)


def runtime_library() -> Path | None:
    """The ONNX Runtime library inside the installed package, for devices with this machine's processor."""
    from importlib.util import find_spec

    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted((Path(spec.origin).parent / "capi").glob("libonnxruntime.so*"))), None)


def write_tensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Feeds as the runner reads them: a line of name, type and dims, then the bytes."""
    import numpy as np

    numbers = {name: number for number, name in _TYPES.items()}
    with path.open("wb") as file:
        for name, tensor in tensors.items():
            if tensor.dtype.name not in numbers or any(c.isspace() for c in name):
                raise DeviceError(f"input {name}", f"the runner cannot take it ({tensor.dtype})", "profile it locally")
            dims = ",".join(map(str, tensor.shape)) or "-"
            file.write(f"{name} {numbers[tensor.dtype.name]} {dims}\n".encode())
            file.write(np.ascontiguousarray(tensor).tobytes())


def read_tensors(path: Path) -> list[Array]:
    """Outputs as the runner writes them, in the model's order; DeviceError when the file is not whole."""
    import numpy as np

    content, at, tensors = path.read_bytes(), 0, []
    while at < len(content):
        end = content.find(b"\n", at)
        words = content[at:end].decode(errors="replace").rsplit(" ", 2)
        if end < 0 or len(words) != 3 or not words[1].isdigit() or int(words[1]) not in _TYPES:
            raise DeviceError(path.name, "the outputs that came back are damaged", "run it again")
        shape = () if words[2] == "-" else tuple(int(d) for d in words[2].split(","))
        dtype = np.dtype(_TYPES[int(words[1])])
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        at = end + 1 + size
        if at > len(content):
            raise DeviceError(path.name, "the outputs that came back are cut short", "run it again")
        tensors.append(np.frombuffer(content[end + 1 : at], dtype).reshape(shape))
    return tensors


@dataclass(kw_only=True)
class Told:
    """What the runner has told so far; fed line by line, so that nothing is lost when the device is.

    Attributes:
        samples: milliseconds of the timed runs.
        warm: milliseconds of the runs before the trace settled.
        loaded: the event of that name, None before the model was open.
        end: the last event, None when the runner did not get so far.
    """

    samples: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    loaded: Mapping[str, Any] | None = None
    end: Mapping[str, Any] | None = None

    def line(self, text: str) -> None:
        """Take one line; a line cut off in its midst is the device going away, which is told elsewhere."""
        try:
            event = json.loads(text)
        except json.JSONDecodeError:
            return
        if isinstance(event, dict):
            self.event(event)

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event."""
        kind = event.get("event")
        if kind == "run":
            self.samples.append(event["ns"] / 1e6)
        elif kind == "warm":
            self.warm.append(event["ns"] / 1e6)
        elif kind == "loaded":
            self.loaded = event
        elif kind == "end":
            self.end = event
