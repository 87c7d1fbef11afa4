"""The worker that builds an engine: parse, check the plugins, build, write the engine and what is known of it.

Run as `python -m edgevision.targets.tensorrt.build_engine request.json`. One source drives TensorRT for RTX and
TensorRT 10 and 11: networks are strongly typed, so that every precision is the graph's.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from edgevision.errors import GraphError, TargetError
from edgevision.hashing import file_sha256
from edgevision.targets.tensorrt.build_log import failure_reason, layers, memory
from edgevision.targets.tensorrt.flavor import FLAVORS, Flavor, import_flavor
from edgevision.targets.tensorrt.plugin_v3 import register
from edgevision.targets.tensorrt.quick_plugin import register_quick
from edgevision.targets.tensorrt.worker import Reporter, serve

__all__ = ["SCHEMA_VERSION"]

SCHEMA_VERSION = 1


def _work(request: dict[str, Any], report: Reporter) -> dict[str, Any]:
    flavor = FLAVORS[request["flavor"]]
    report.step("load")
    trt = import_flavor(flavor)
    log = _logger(trt)
    report.step("parse")
    images = {key: Path(file).read_bytes() for key, file in request["images"].items()}
    quick = _register_quick(trt, flavor, images, request["plugin_inputs"])
    creators = register(trt, images, without=frozenset(quick))
    builder = trt.Builder(log)
    network = _parse(trt, builder, log, Path(request["graph"]), prefer_quick=bool(quick))
    _check_plugins(trt, network, request["plugins"])
    report.step("build")
    config = _configure(trt, builder, network, request, report)
    started = time.monotonic()
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        reason = failure_reason("\n".join(log.lines)) or "it returned no engine and gave no reason"
        raise TargetError(f"the {flavor.title} build", reason, "see docs/tensorrt.md")
    report.step("write")
    data = bytes(engine)
    _write(Path(request["engine"]), data)
    record = _record(trt, network, request, log) | {"quick_plugins": sorted(quick)}
    record["engine"] = {"path": Path(request["engine"]).name, "bytes": len(data), "sha256": None}
    record["engine"]["sha256"] = file_sha256(Path(request["engine"]))
    _write(Path(request["record"]), (json.dumps(record, indent=1) + "\n").encode())
    del creators
    return {"seconds": time.monotonic() - started, "layers": len(record["layers"])}


def _logger(trt: Any) -> Any:
    """Keeps what the record needs in memory, and what a reader needs on standard error, which is the log file."""
    shown = {trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR, trt.ILogger.WARNING, trt.ILogger.INFO}

    class Log(trt.ILogger):  # type: ignore[misc]  # the base is known at run time only
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []
            self.details: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in shown:
                self.lines.append(f"[{severity.name}] {message}")
                sys.stderr.write(self.lines[-1] + "\n")
                sys.stderr.flush()
            elif message.startswith("Layers:"):
                self.details.append(message)

    return Log()


def _register_quick(
    trt: Any, flavor: Flavor, images: Mapping[str, bytes], inputs: Mapping[str, int]
) -> Mapping[str, int]:
    """Ahead-of-time plugins where TensorRT has them; TensorRT for RTX does not. What was registered."""
    if flavor.name != "enterprise" or not inputs or not hasattr(trt, "QuickPluginCreationRequest"):
        return {}
    try:
        trtp = import_module(f"{flavor.module}.plugin")
    except ImportError:
        return {}
    register_quick(trt, trtp, images, inputs)
    return inputs


def _parse(trt: Any, builder: Any, log: Any, graph: Path, *, prefer_quick: bool) -> Any:
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    if prefer_quick:
        flags |= 1 << int(trt.NetworkDefinitionCreationFlag.PREFER_AOT_PYTHON_PLUGINS)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log)
    if parser.parse_from_file(str(graph)):
        return network
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    said = "; ".join(dict.fromkeys(_sentence(error) for error in errors))
    where = ", ".join(dict.fromkeys(f"{error.node_name()} ({error.node_operator()})" for error in errors[:5]))
    reason = f"TensorRT's parser refuses {where}: {said}"
    raise GraphError(graph.name, reason, "see docs/tensorrt.md for the operators it takes")


def _sentence(error: Any) -> str:
    if error.code().name in ("UNSUPPORTED_NODE", "UNSUPPORTED_NODE_ATTR", "UNSUPPORTED_NODE_INPUT"):
        described = str(error.desc()).strip("'\" \n")
        return described if described not in ("", "false") else f"the operator {error.node_operator()} is not supported"
    return failure_reason("\n".join(f"[ERROR] {line}" for line in str(error.desc()).splitlines())) or str(error.desc())


def _check_plugins(trt: Any, network: Any, expected: Mapping[str, int]) -> None:
    """A node that falls through to its body would be built without a word: count the plugin layers instead."""
    kinds = [network.get_layer(index).type for index in range(network.num_layers)]
    found = sum(kind == trt.LayerType.PLUGIN_V3 for kind in kinds)
    if found != sum(expected.values()):
        wanted = ", ".join(f"{count} {name}" for name, count in expected.items())
        reason = f"the parsed network has {found} plugin layers, the graph has {wanted or 'no plugin nodes'}"
        raise TargetError("plugins", reason, "report it")


def _configure(trt: Any, builder: Any, network: Any, request: Mapping[str, Any], report: Reporter) -> Any:
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.progress_monitor = _monitor(trt, report)
    wanted = request["compute_capabilities"]
    if wanted:
        config.num_compute_capabilities = len(wanted)
        for index, capability in enumerate(wanted):
            name = f"SM{capability.replace('.', '')}"
            config.set_compute_capability(getattr(trt.ComputeCapability, name), index)
    open_inputs = [i for i in map(network.get_input, range(network.num_inputs)) if any(d < 0 for d in i.shape)]
    if open_inputs:
        profile = builder.create_optimization_profile()
        for tensor in open_inputs:
            profile.set_shape(tensor.name, *request["profile"][tensor.name])
        config.add_optimization_profile(profile)
    return config


def _monitor(trt: Any, report: Reporter) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self.steps[phase] = steps

        def step_complete(self, phase: str, step: int) -> bool:
            if phase in self.steps:
                report.progress(phase, step + 1, self.steps[phase])
            return True

        def phase_finish(self, phase: str) -> None:
            self.steps.pop(phase, None)

    return Monitor()


def _record(trt: Any, network: Any, request: Mapping[str, Any], log: Any) -> dict[str, Any]:
    built = layers(log.details)
    graph = Path(request["graph"])
    tensors = {
        "inputs": [_tensor(network.get_input(index)) for index in range(network.num_inputs)],
        "outputs": [_tensor(network.get_output(index)) for index in range(network.num_outputs)],
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "flavor": request["flavor"],
        "version": trt.__version__,
        "compute_capabilities": request["compute_capabilities"] or request["default_capabilities"],
        "precision": request["precision"],
        **tensors,
        "profiles": [request["profile"]] if request["profile"] else [],
        "plugins": dict(request["plugins"]),
        "plugin_layers": sum(layer.kind == "custom_layer" for layer in built),
        "layers": [{**asdict(layer), "precision": layer.precision} for layer in built],
        "precisions": dict(Counter(layer.precision for layer in built)),
        "memory_bytes": asdict(memory(log.lines)),
        "graph": {"path": graph.name, "sha256": file_sha256(graph)},
        "engine": {},
    }


def _tensor(tensor: Any) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype.name.lower(),
        "shape": [None if size < 0 else int(size) for size in tensor.shape],
    }


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(serve(_work))
