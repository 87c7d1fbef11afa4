"""Compiled kernels and the proof of each, made in worker processes and kept in the cache by what they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgevision.cache import Cache
from edgevision.errors import GraphError, TargetError
from edgevision.targets.target import Proof
from edgevision.targets.tensorrt.plugins.plugin import Call, Specialisation, plugins
from edgevision.targets.tensorrt.prepare import PluginNode
from edgevision.targets.tensorrt.process import OnProgress, Worker, run_worker

__all__ = ["Kernels"]

_MODULE = "edgevision.targets.tensorrt"


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """The kernels of one package.

    Attributes:
        package: where the Triton modules are.
        cache: where images and proofs are kept.
        timeout: seconds a worker may take.
    """

    package: str
    cache: Cache
    timeout: float

    def images(self, nodes: Sequence[PluginNode], folder: Path, on_progress: OnProgress | None) -> dict[str, Path]:
        """An image file in `folder` for every specialisation the nodes need, by its key."""
        wanted = {s.key: s for s in (plugins()[node.operator].specialise(node.call) for node in nodes)}
        files = {key: folder / f"{key}.kernel" for key in wanted}
        missing = []
        for key, specialisation in wanted.items():
            entry = self.cache.get(self._key("image", key, specialisation.kernel))
            if entry is None:
                missing.append(specialisation)
            else:
                files[key].write_bytes((entry / "image").read_bytes())
        if missing:
            self._compile(missing, folder, on_progress)
        return files

    def _compile(self, missing: Sequence[Specialisation], folder: Path, on_progress: OnProgress | None) -> None:
        worker = Worker(
            what="the kernels' compilation",
            module=f"{_MODULE}.compile_kernels",
            log=folder / "kernels.log",
            timeout=self.timeout,
            environment={"TRITON_DISABLE_LINE_INFO": "1", **self._triton_cache(folder)},
        )
        asked = [specialisation.as_json() for specialisation in missing]
        request = {"package": self.package, "folder": str(folder), "specialisations": asked}
        run_worker(worker, request, on_progress)
        for specialisation in missing:
            made = folder / f"{specialisation.key}.kernel"
            key = self._key("image", specialisation.key, specialisation.kernel)
            self.cache.put(key, partial(_keep, "image", made.read_bytes()))

    def prove(self, nodes: Sequence[PluginNode], folder: Path, on_progress: OnProgress | None) -> list[Proof]:
        """Run every distinct call under Triton's interpreter against the float64 reference.

        Raises:
            GraphError: a kernel is wrong; names the operator and the size.
        """
        cases = {_case(node): node for node in nodes}
        results: dict[str, dict[str, float]] = {}
        for case, node in cases.items():
            entry = self.cache.get(self._key("proof", case, plugins()[node.operator].kernel))
            if entry is not None:
                results[case] = json.loads((entry / "result.json").read_text(encoding="utf-8"))
        open_cases = [case for case in cases if case not in results]
        if open_cases:
            results |= self._interpret({case: cases[case] for case in open_cases}, folder, on_progress)
        return [_proof(cases[case], results[case]) for case in cases]

    def _interpret(
        self, cases: Mapping[str, PluginNode], folder: Path, on_progress: OnProgress | None
    ) -> dict[str, dict[str, float]]:
        worker = Worker(
            what="the kernels' proof",
            module=f"{_MODULE}.interpret",
            log=folder / "proof.log",
            timeout=self.timeout,
            environment={"TRITON_INTERPRET": "1", **self._triton_cache(folder)},
        )
        asked = [{"operator": node.operator, "call": node.call.as_json()} for node in cases.values()]
        answer = run_worker(worker, {"package": self.package, "cases": asked}, on_progress)
        results = dict(zip(cases, answer["results"], strict=True))
        for case, result in results.items():
            node = cases[case]
            if not result["max_abs_over_std"] <= result["bound"]:
                raise GraphError(
                    f"kernel of {node.operator} ({describe(node.call)})",
                    f"it differs from the float64 reference by {result['max_abs_over_std']:.2e} of the output's std "
                    f"(allowed {result['bound']:.1e})",
                    "the kernel is wrong: --no-plugins builds without it",
                )
            key = self._key("proof", case, plugins()[node.operator].kernel)
            self.cache.put(key, partial(_keep, "result.json", json.dumps(result).encode()))
        return results

    def _triton_cache(self, folder: Path) -> dict[str, str]:
        """Triton's own cache must not land in the user's home: an image is cached here, whole."""
        return {"TRITON_CACHE_DIR": str(folder / "triton")}

    def _key(self, kind: str, what: str, kernel: str) -> str:
        document = {
            "kind": kind,
            "what": what,
            "triton": _triton_version(),
            "source": _source_hash(self.package, kernel),
            "tools": _tools_hash(),
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def describe(call: Call) -> str:
    """A call in one line: shapes, storage and attributes."""
    shapes = ", ".join("x".join("?" if d is None else str(d) for d in shape) if shape else "-" for shape in call.shapes)
    attributes = ", ".join(f"{name}={value}" for name, value in call.attributes.items())
    return f"{shapes}; {call.types[0]}; {attributes}"


def _case(node: PluginNode) -> str:
    """What a proof depends on: the call without its number of samples and with its number of channels cut."""
    plugin = plugins()[node.operator]
    small = plugin.shrink(node.call.closed())
    document: dict[str, Any] = {
        "operator": node.operator,
        "call": small.as_json(),
        "constants": dict(plugin.specialise(node.call).constants),
    }
    return json.dumps(document, sort_keys=True)


def _proof(node: PluginNode, result: Mapping[str, float]) -> Proof:
    samples = plugins()[node.operator].shrink(node.call.closed()).static(0, 0)
    return Proof(
        what=f"Triton kernel of {node.operator} under the interpreter ({describe(node.call)})",
        against="the float64 reference",
        samples=samples,
        max_abs_over_std=result["max_abs_over_std"],
    )


@cache
def _source_hash(package: str, kernel: str) -> str:
    spec = find_spec(f"{package}.{kernel}")
    if spec is None or spec.origin is None:
        raise TargetError(f"{package}.{kernel}", "there is no such kernel", "see docs/tensorrt.md")
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


@cache
def _tools_hash() -> str:
    """Everything of ours that a result depends on beside the kernel itself."""
    here = Path(__file__).parent
    files = [
        here / "compile_kernels.py",
        here / "interpret.py",
        here / "image.py",
        *sorted((here / "plugins").glob("*.py")),
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _triton_version() -> str:
    try:
        return version("triton")
    except PackageNotFoundError as error:
        raise TargetError(
            "triton",
            "it is not installed, and the plugins' kernels are compiled with it",
            "pip install 'edgevision[trt]'",
        ) from error


def _keep(name: str, data: bytes, entry: Path) -> None:
    (entry / name).write_bytes(data)
