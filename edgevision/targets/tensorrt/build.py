"""The TensorRT target: prepare the graph, compile and prove the kernels, build in a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgevision.errors import GraphError, TargetError, UsageError
from edgevision.spec import Batch
from edgevision.targets.target import Artifact, Precision, Runner, WhyNot
from edgevision.targets.tensorrt.flavor import FLAVORS, Flavor, FlavorName, check_capabilities, choose, flavor_needs

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.targets.tensorrt.prepare import Prepared
    from edgevision.targets.tensorrt.process import OnProgress

__all__ = ["ENGINE", "GRAPH", "RECORD", "TensorRT"]

ENGINE: Final = "model.engine"
RECORD: Final = "engine.json"
GRAPH: Final = "model.trt.onnx"
LOG: Final = "build.log"
#: What runs in the build's process.
BUILDER = "edgevision.targets.tensorrt.build_engine"
#: Seconds a worker may take unless it is told otherwise.
TIMEOUT = 900.0
#: What TensorRT for RTX builds for when it is told nothing: everything it knows from compute capability 8.0 on.
_DEFAULT_CAPABILITIES: Final = ("8.0", "8.6", "8.9", "12.0", "12.1")


@dataclass(frozen=True, kw_only=True)
class TensorRT:
    """TensorRT for RTX, or TensorRT.

    Attributes:
        precision: fp32, fp16, bf16; int8 builds the Q/DQ graph it is given.
        plugins: run the custom operators by our kernels; False inlines their bodies.
        batch: the range of an open batch, for the optimization profile; None where the batch is fixed.
        flavor: rtx or enterprise; None takes the one that is installed, RTX first.
        compute_capability: comma-separated list to build for, e.g. "8.6,8.9"; empty: the flavor's default.
        timeout: seconds that the build, the kernels' compilation and their proof may each take.
        kernels: package of the Triton kernels.
    """

    precision: Precision = "fp32"
    plugins: bool = True
    batch: Batch | None = None
    flavor: FlavorName | None = None
    compute_capability: str = ""
    timeout: float = field(default_factory=lambda: TIMEOUT)
    kernels: str = "edgevision.plugins.triton"

    def why_not(self) -> WhyNot | None:
        """None when a TensorRT is installed (whether it loads is found out in the build's process).

        Raises:
            UsageError, TargetError: a flavor or a compute capability that there is not.
        """
        chosen = choose(self.flavor)
        if isinstance(chosen, WhyNot):
            return chosen
        self._capabilities(chosen)
        return None

    def why_not_run(self) -> WhyNot | None:
        """None when there are a driver and a GPU that this TensorRT runs on."""
        chosen = choose(self.flavor)
        return chosen if isinstance(chosen, WhyNot) else flavor_needs(chosen)

    def build(self, model: ir.Model, folder: Path, on_progress: OnProgress | None = None) -> Artifact:
        """Build the engine with `engine.json`, the parser's graph and the log beside it.

        Raises:
            GraphError: the graph holds what TensorRT cannot take, or a kernel fails its proof.
            TargetError: the build fails; names the step and the reason.
        """
        from edgevision.cache import default_cache
        from edgevision.passes.unpack_shifts import refuse_integer_shifts
        from edgevision.targets.tensorrt.admission import admit, check_file
        from edgevision.targets.tensorrt.kernels import Kernels
        from edgevision.targets.tensorrt.prepare import prepare

        refuse_integer_shifts(model, "TensorRT")
        flavor = self._flavor()
        capabilities = self._capabilities(flavor)
        profile = self._profile(model)
        batch = self.batch.best if self.batch else 1
        prepared = prepare(model, precision=self.precision, use_plugins=self.plugins, batch=batch)
        admit(prepared.model, flavor, frozenset(prepared.counts))
        graph = folder / GRAPH
        _save(prepared.model, graph)
        check_file(graph)
        proofs, images = [], {}
        with tempfile.TemporaryDirectory(prefix=".trt-", dir=folder) as scratch:
            if prepared.nodes:
                kernels = Kernels(package=self.kernels, cache=default_cache(), timeout=self.timeout)
                proofs = kernels.prove(prepared.nodes, Path(scratch), on_progress)
                images = kernels.images(prepared.nodes, Path(scratch), on_progress)
            request = self._request(flavor, capabilities, profile, prepared, folder, images)
            self._run(flavor, request, folder, on_progress)
        missing = flavor_needs(flavor)
        notes = [*prepared.notes, *([f"built, not run: {missing.reason}"] if missing else [])]
        if missing and self.precision == "bf16":
            notes.append(f"{GRAPH} was not run either: ONNX Runtime's CPU has no bfloat16 kernels")
        return Artifact(
            path=folder / ENGINE,
            runnable=missing is None,
            notes=tuple(notes),
            proofs=tuple(proofs),
            extra=(folder / RECORD, graph, folder / LOG),
            graph=None if self.precision == "bf16" else graph,
            twin=prepared.twin,
        )

    def load(self, path: Path) -> Runner:
        """Open an engine on this machine's GPU.

        Raises:
            TargetError: no GPU or driver, or another version built the engine.
        """
        from edgevision.targets.tensorrt.runner import EngineRunner

        return EngineRunner(path)

    def _flavor(self) -> Flavor:
        chosen = choose(self.flavor)
        if isinstance(chosen, WhyNot):
            raise TargetError("trt", chosen.reason, chosen.mend)
        return chosen

    def _capabilities(self, flavor: Flavor) -> list[str]:
        wanted = [part.strip() for part in self.compute_capability.split(",") if part.strip()]
        for part in wanted:
            if part.count(".") != 1 or not part.replace(".", "").isdecimal():
                flag = f"--compute-capability {self.compute_capability}"
                raise UsageError(flag, f"{part!r} is not a compute capability", "e.g. 8.6,8.9")
        check_capabilities(flavor, wanted)
        return wanted

    def _profile(self, model: ir.Model) -> dict[str, Sequence[Sequence[int]]]:
        """Least, best and largest shape of every open input."""
        profile: dict[str, Sequence[Sequence[int]]] = {}
        for value in model.graph.inputs:
            if value.is_initializer() or value.shape is None or value.name is None:
                continue
            if all(isinstance(dim, int) for dim in value.shape):
                continue
            for axis, dim in enumerate(value.shape):
                if not isinstance(dim, int) and (axis > 0 or self.batch is None):
                    mend = "give --batch MIN:OPT:MAX" if axis == 0 else "export the model with this dimension fixed"
                    raise GraphError(
                        f"input {value.name}", f"its dimension {axis} ({dim}) is open and has no range", mend
                    )
            batch = self.batch or Batch()
            rest = [int(dim) for dim in value.shape[1:] if isinstance(dim, int)]
            profile[value.name] = [[size, *rest] for size in (batch.least, batch.best, batch.most)]
        return profile

    def _request(
        self,
        flavor: Flavor,
        capabilities: Sequence[str],
        profile: Mapping[str, Sequence[Sequence[int]]],
        prepared: Prepared,
        folder: Path,
        images: Mapping[str, Path],
    ) -> dict[str, object]:
        return {
            "flavor": flavor.name,
            "graph": str(folder / GRAPH),
            "engine": str(folder / ENGINE),
            "record": str(folder / RECORD),
            "images": {key: str(file) for key, file in images.items()},
            "plugins": prepared.counts,
            "plugin_inputs": prepared.plugin_inputs,
            "precision": self.precision,
            "profile": profile,
            "compute_capabilities": capabilities,
            "default_capabilities": _DEFAULT_CAPABILITIES if flavor is FLAVORS["rtx"] else ["the GPU it was built on"],
        }

    def _run(self, flavor: Flavor, request: Mapping[str, object], folder: Path, on_progress: OnProgress | None) -> None:
        from edgevision.targets.tensorrt.build_log import failure_reason
        from edgevision.targets.tensorrt.process import Worker, run_worker

        worker = Worker(
            what=f"the {flavor.title} build",
            module=BUILDER,
            log=folder / LOG,
            timeout=self.timeout,
            explain=failure_reason,
        )
        run_worker(worker, request, on_progress)


def _save(model: ir.Model, path: Path) -> None:
    """Weights go into the file while it can hold them (2 GiB), beside it otherwise."""
    import onnx_ir

    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)
    onnx_ir.save(model, path, external_data=f"{path.name}.data" if size > (1 << 31) - (1 << 24) else None)
