"""ONNX Runtime: the portable graph in the form that runs fastest there, our kernels for the custom operators.

Without the library (or with `plugins=False`) ONNX Runtime inlines the bodies that the graph carries: slower, equal.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.errors import TargetError
from edgevision.onnx_file import save_onnx
from edgevision.targets.onnxruntime.runner import OrtRunner, SessionSettings
from edgevision.targets.target import Artifact, OnProgress, Precision, TargetEntry, WhyNot

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["TARGET", "OnnxRuntime"]

#: The portable graph, and its form for ONNX Runtime where that differs.
PORTABLE, LOWERED = "model.onnx", "model.ort.onnx"


@dataclass(frozen=True, kw_only=True)
class OnnxRuntime:
    """ONNX Runtime on the CPU.

    Attributes:
        precision: of the graph; this target changes nothing in it.
        plugins: use our kernel library; False takes the bodies alone.
        threads: intra-op threads; 0 leaves it to ONNX Runtime (one per physical core).
        optimize: shape the graph for ONNX Runtime, and let that optimize it further when it loads it.
        profile_to: prefix of ONNX Runtime's own per-op trace; None traces nothing.
    """

    precision: Precision = "fp32"
    plugins: bool = True
    threads: int = 0
    optimize: bool = True
    profile_to: str | None = None

    def why_not(self) -> WhyNot | None:
        """None when onnxruntime is installed (it comes with edgevision)."""
        if find_spec("onnxruntime") is None:
            return WhyNot(reason="the package onnxruntime is not installed", mend="pip install onnxruntime")
        return None

    def why_not_run(self) -> WhyNot | None:
        """It runs wherever it builds."""
        return self.why_not()

    def build(self, model: ir.Model, folder: Path, on_progress: OnProgress | None = None) -> Artifact:  # noqa: ARG002
        """Write the graph and open it once: a graph that ONNX Runtime refuses must not become a bundle."""
        source = self._kernels()
        path, changes, custom = self._write(model, folder, kernels=isinstance(source, Path))
        library: Path | None = None
        notes: tuple[str, ...] = ()
        if custom and isinstance(source, Path):  # a copy for whoever runs the bundle without us
            library = Path(shutil.copyfile(source, folder / source.name))
        elif custom and isinstance(source, WhyNot):
            reason = f"{source.reason} (mend: {source.mend})"
            notes = (f"kernels not used, the bodies serve instead: {reason}",)
        with self.load(path):
            pass
        return Artifact(path=path, runnable=True, notes=notes, changes=changes, library=library)

    def _write(self, model: ir.Model, folder: Path, *, kernels: bool) -> tuple[Path, tuple[str, ...], bool]:
        """The graph as it is loaded, what changed from the portable one, and whether it has operators of ours."""
        from edgevision.targets.onnxruntime.lowering import lower

        if self.optimize:
            lowered = model.clone()
            applied = lower(lowered, kernels=kernels)
            if applied:
                save_onnx(lowered, folder / LOWERED)
                counts = ", ".join(f"{count} {name}" for name, count in applied.items())
                return folder / LOWERED, (f"shaped for ONNX Runtime: {counts}",), _custom_ops(lowered)
        path = folder / PORTABLE
        if not path.exists():
            save_onnx(model, path)
        return path, (), _custom_ops(model)

    def _kernels(self) -> Path | WhyNot | None:
        """The kernel library, or why it cannot be used; None where it is not asked for."""
        if not self.plugins:
            return None
        from edgevision import native

        source = native.library_path()
        return native.why_not() or source or WhyNot(reason="there is no library", mend="install with a compiler")

    def load(self, path: Path) -> OrtRunner:
        """Open a session on one ONNX file.

        Raises:
            TargetError: onnxruntime is missing or refuses the file.
        """
        missing = self.why_not()
        if missing is not None:
            raise TargetError("ort", missing.reason, missing.mend)
        settings = SessionSettings(
            plugins=self.plugins, threads=self.threads, optimize=self.optimize, profile_to=self.profile_to
        )
        return OrtRunner(path, settings)


def _custom_ops(model: ir.Model) -> bool:
    from edgevision.ops.operator import DOMAIN

    return any(node.domain == DOMAIN for node in model.graph.all_nodes())


TARGET = TargetEntry(
    name="ort",
    summary="ONNX Runtime on the CPU, with our kernels",
    create=OnnxRuntime,
    package="onnxruntime",
    precisions=("fp32", "int8"),
)
