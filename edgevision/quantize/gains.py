"""What each operator gains in 8 bits, in context: its time in the float graph less that in the whole INT8 graph.

Both graphs run under ONNX Runtime's trace. A node of the optimized graph belongs to the operator whose name, or whose
result's, it carries. A QuantizeLinear that is left in the INT8 graph is charged to the operators that read it, a
DequantizeLinear to the one whose result it reads; transposes stand at these borders and are shared out among them. What
a form really gains is raced afterwards: these numbers only say what to try first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from edgevision.calibration.source import Image
from edgevision.devices.ort_trace import node_times
from edgevision.quantize.builder import Form
from edgevision.quantize.plan import node_label, result_of
from edgevision.quantize.scheme import Scheme
from edgevision.targets.onnxruntime import OnnxRuntime

__all__ = ["gains"]

_RUNS = 20
#: What ONNX Runtime's optimizers add to names.
_ADDED = re.compile(r"(_nchwc|_token_\d+|/duplicated.*|_quant)$")


def gains(
    original: ir.Model, form: Form, scheme: Scheme, target: OnnxRuntime, feed: Image, folder: Path
) -> dict[str, float]:
    """Milliseconds that each linear operator of `form` gains over `original`, by its label."""
    owners = _owners(original, form, scheme)
    before = _times(original, target, feed, folder)
    after = _times(form.lowered, target, feed, folder)
    own = dict.fromkeys((node_label(n) for n in form.plan.linear), 0.0)
    for name, milliseconds in before.items():
        for label in owners.get(name, ()):
            own[label] += milliseconds / len(owners[name])
    charged = dict.fromkeys(own, 0.0)
    for name, milliseconds in after.items():
        for label in owners.get(name, ()):
            own[label] -= milliseconds / len(owners[name])
            charged[label] += milliseconds / len(owners[name]) if name.endswith(("_quantize", "_dequantize")) else 0.0
    whole = sum(charged.values())
    moved = sum(ms for name, ms in after.items() if name.startswith("Transpose") and name not in owners)
    return {label: ms - (moved * charged[label] / whole if whole else 0.0) for label, ms in own.items()}


def _times(model: ir.Model, target: OnnxRuntime, feed: Image, folder: Path) -> dict[str, float]:
    path = folder / "traced.onnx"
    ir.save(model, path)
    found: dict[str, float] = {}
    tracing = replace(target, profile_to=str(folder / "trace"))
    for name, ms in node_times(tracing, path, {str(model.graph.inputs[0].name): feed}, _RUNS).items():
        plain = _plain(name)
        found[plain] = found.get(plain, 0.0) + ms
    return found


def _plain(name: str) -> str:
    """A node's name without what the optimizers have added."""
    while (shorter := _ADDED.sub("", name)) != name:
        name = shorter
    return name


def _owners(original: ir.Model, form: Form, scheme: Scheme) -> Mapping[str, tuple[str, ...]]:
    """Name of a traced node -> labels of the operators it belongs to."""
    labels = {n.outputs[0].name: node_label(n) for n in form.plan.linear}
    owners: dict[str, tuple[str, ...]] = {}
    for node in original.graph:  # where an operator may be another by type and name than in the form
        label, out = labels.get(node.outputs[0].name), str(node.outputs[0].name)
        if label is not None:
            result = str(result_of(node, scheme).name)
            owners |= dict.fromkeys((node_label(node), label, out, result, f"{result}_dequantize"), (label,))
    for node in original.graph:
        label, source = labels.get(node.outputs[0].name), node.inputs[0] if node.inputs else None
        if label is not None and source is not None:
            owners[f"{source.name}_quantize"] = (*owners.get(f"{source.name}_quantize", ()), label)
    return owners
