"""What a target is, and how the targets of this package are found.

A target is a frozen dataclass whose fields are its options. It is typed structurally: no base class.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from typing import Self  # newer than the Python 3.10 of JetPack 6, where `devices.python_engine` runs this

    import numpy as np
    import onnx_ir as ir
    from numpy.typing import NDArray

    from edgevision.manifest import Manifest

    Array = NDArray[np.generic]

__all__ = [
    "Artifact",
    "Emulating",
    "OnProgress",
    "Particular",
    "Precision",
    "Proof",
    "Runner",
    "SelfProfiling",
    "Target",
    "TargetEntry",
    "TensorInfo",
    "Tracing",
    "WhyNot",
    "targets",
]

#: Told a step's name and the share of it that is done.
OnProgress = Callable[[str, float], None]
Precision = Literal["fp32", "fp16", "bf16", "int8"]


@dataclass(frozen=True, kw_only=True)
class WhyNot:
    """Why a target (or a part of it) cannot be used on this machine, and the mend."""

    reason: str
    mend: str


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """Name, dims (None where dynamic) and numpy dtype name of a model input or output."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Evidence about an artifact that could not be run itself (manifest key `proofs`)."""

    what: str
    against: str
    samples: int
    max_abs_over_std: float


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What a build left in the bundle's folder.

    Attributes:
        path: the file or folder the runtime loads.
        runnable: whether this machine can run it; False gives the status `built, not run`.
        notes: what a reader of the manifest should know (one sentence each).
        changes: what the build did to the graph, for the stage's record.
        proofs: evidence gathered while building.
        extra: files beside `path`, e.g. `engine.json`.
        graph: the exact ONNX file the runtime's own parser was given, where that is not the portable graph: what
            cannot run here is at least held against the model in that form, in ONNX Runtime.
        library: our kernel library for ONNX Runtime, where the bundle carries a copy.
        twin: of an artifact in half precision, the float32 graph that only rounds what the artifact stores in half: its
            distance from the model measures what the artifact may differ by.
        tolerance: how far the artifact may be from the graph where the build is inexact on purpose; None for the
            precision's own tolerance.
    """

    path: Path
    runnable: bool
    notes: Sequence[str] = ()
    changes: Sequence[str] = ()
    proofs: Sequence[Proof] = ()
    extra: Sequence[Path] = ()
    graph: Path | None = None
    library: Path | None = None
    twin: ir.Model | None = None
    tolerance: float | None = None


class Runner(Protocol):
    """A loaded artifact. Calling it runs the model once; use it as a context manager to free the runtime."""

    inputs: Sequence[TensorInfo]
    outputs: Sequence[TensorInfo]

    def __call__(self, feeds: Array | Mapping[str, Array]) -> list[Array]: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Target(Protocol):
    """A runtime with its options. Instances are frozen dataclasses; `options` in the manifest are their fields."""

    def why_not(self) -> WhyNot | None:
        """None when `build` can work here; must not import the runtime to find out more than it needs."""
        ...

    def why_not_run(self) -> WhyNot | None:
        """None when this machine has what an artifact of this target runs on."""
        ...

    def build(self, model: ir.Model, folder: Path, on_progress: OnProgress | None = None) -> Artifact:
        """Compile `model` (custom nodes carry canonical bodies) into `folder`. Never changes `model`.

        A build that takes long tells `on_progress` its step and the share of it that is done, 0 to 1.
        """
        ...

    def load(self, path: Path) -> Runner:
        """Open the built artifact at `path`; TargetError when this machine cannot."""
        ...


@runtime_checkable
class Emulating(Protocol):
    """A target whose artifacts can be computed where its runtime is not: what they say, not how fast they are."""

    def emulate(self, path: Path) -> Runner:
        """The saved artifact at `path`, its own bytes, behind the interface of the runtime."""
        ...


@runtime_checkable
class Tracing(Protocol):
    """A runner that shows what it computes on the way, by the names of the graph's nodes."""

    def traced(self, nodes: Collection[str]) -> Mapping[str, tuple[int | None, ...]]:
        """Those of `nodes` of which a result is seen, with its dims."""
        ...

    def trace(self, feeds: Array | Mapping[str, Array], nodes: Collection[str]) -> Mapping[str, Array]:
        """Run once: what each of `nodes` gave. Nothing else is kept."""
        ...


@runtime_checkable
class Particular(Protocol):
    """A target whose artifact may take only some of the graph's inputs, e.g. pixels."""

    def representable(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """The nearest inputs that the artifact can be given; `feeds` itself where it takes all."""
        ...


@runtime_checkable
class SelfProfiling(Protocol):
    """A target whose runtime tells more of an artifact than the time of a call."""

    def profile(self, path: Path, feeds: Mapping[str, Array], runs: int) -> Mapping[str, Any]:
        """Keys of a profile's document, e.g. `placement`."""
        ...


@dataclass(frozen=True, kw_only=True)
class TargetEntry:
    """A target as the registry knows it.

    Attributes:
        name: as typed after `--target`.
        summary: one line for `edgevision targets`.
        create: the dataclass; its keyword arguments are the target's options.
        package: import name of the runtime, checked without importing it.
        extra: the pip extra that installs it, empty when it comes with the core.
        precisions: what it can build.
        usage: Markdown for the bundle's README: how to run the artifact without edgevision. None for a target whose
            artifact is the portable graph itself, which every README covers.
        record: JSON file of the bundle in which the build says what it knows of the artifact, empty for none.
        facts: rows for `edgevision inspect` from that record.
    """

    name: str
    summary: str
    create: Any
    package: str
    extra: str = ""
    precisions: tuple[Precision, ...] = field(default=("fp32",))
    usage: Callable[[Manifest], str] | None = None
    record: str = ""
    facts: Callable[[Mapping[str, Any]], Sequence[tuple[str, str]]] | None = None


@cache
def targets() -> Mapping[str, TargetEntry]:
    """All targets by name. Target modules import their runtime only inside functions, so this is cheap."""
    package = import_module("edgevision.targets")
    found: dict[str, TargetEntry] = {}
    for info in pkgutil.iter_modules(package.__path__):
        entry = getattr(import_module(f"edgevision.targets.{info.name}"), "TARGET", None)
        if entry is None:
            continue
        if entry.name in found:
            raise RuntimeError(f"two targets are named {entry.name}")
        found[entry.name] = entry
    return found
