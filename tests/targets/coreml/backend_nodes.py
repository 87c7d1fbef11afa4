"""The ONNX standard's own node tests, each put into one class: passed, or why ML programs cannot express it.

Many at a time share one package: a graph of forty nodes side by side converts in little more than one node does. What
cannot be expressed is found by lowering each alone; a package that fails as a whole is taken apart again.

Inputs that decide a shape, or that MIL takes as constants (axes, scales, `k`), are given by those tests at run time;
here they are made constants first, which is how exporters write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.backend.test.loader import load_model_tests

from edgevision.errors import EdgeError
from edgevision.targets.coreml.deployment import deployment
from edgevision.targets.coreml.evaluator import Evaluator
from edgevision.targets.coreml.lowering.graph import Lowerer
from edgevision.targets.coreml.names import mil_name
from edgevision.targets.coreml.package import PackageOptions, convert, save
from edgevision.targets.coreml.quiet import quiet

__all__ = ["cases", "classified"]

TARGET = "iOS18"
_TOGETHER = 40

#: Inputs made constants, by operator.
_SHAPING = {
    "AffineGrid": (1,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "Compress": (1,),
    "ConstantOfShape": (0,),
    "CumSum": (1,),
    "DequantizeLinear": (1, 2),
    "Dropout": (1, 2),
    "Expand": (1,),
    "If": (0,),
    "Loop": (0, 1),
    "OneHot": (1, 2),
    "Pad": (1, 2, 3),
    "QuantizeLinear": (1, 2),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "ReverseSequence": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
    **{f"Reduce{kind}": (1,) for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum")},
    "ReduceSumSquare": (1,),
}
#: Reason of a refusal -> class. The first that matches counts.
_CLASSES = (
    ("element type", r"element type|constants of type|unsupported type|quantizes to int8|wraps values|bitwise"),
    ("sequence, optional, string or other domain", r"sequence|optional|ai\.onnx\.(ml|preview)|string"),
    ("rank above 5 or 0", r"rank"),
    ("empty tensor", r"empty"),
    ("shape computed at run time", r"computed at run time|is dynamic|trip count|computed inside|body is left out"),
    ("constant output", r"it is a constant"),
    ("opset too old", r"of ONNX opset"),
    ("integers beyond int32", r"32 bits"),
    ("operator without a MIL form", r"cannot express operator|cannot express it exactly|newer than"),
)


@cache
def cases() -> dict[str, Any]:
    """Every node test of the installed onnx package, by name."""
    return {case.name: case for case in load_model_tests(kind="node")}


def _alone(case: Any, folder: Path) -> str:
    try:
        ready = _ready(case)
        _check(ready, _computed([ready], folder))
    except EdgeError as error:
        return _class(error)
    except AssertionError as error:
        return f"WRONG: {' '.join(str(error).split())[:300]}"
    return "pass"


def classified(chosen: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """`pass`, the class of the reason why not, or `WRONG: ...` and `CRASH: ...`, which no test may be; of every case."""
    results: dict[str, str] = {}
    groups: dict[tuple[tuple[str, int], ...], list[tuple[str, _Ready]]] = {}
    for index, (name, case) in enumerate(chosen.items()):
        try:
            with quiet():
                ready = _ready(case, f"n{index}_")
                Lowerer(ir.from_proto(ready.proto)).program(deployment(TARGET), {})
        except EdgeError as error:
            results[name] = _class(error)
            continue
        opsets = tuple(sorted((entry.domain, entry.version) for entry in ready.proto.opset_import))
        groups.setdefault(opsets, []).append((name, ready))
    for group in groups.values():
        for first in range(0, len(group), _TOGETHER):
            results |= _results(dict(group[first : first + _TOGETHER]), chosen, folder)
    return results


def _results(few: Mapping[str, _Ready], chosen: Mapping[str, Any], folder: Path) -> dict[str, str]:
    try:
        got = _computed(list(few.values()), folder)
        for ready in few.values():
            _check(ready, got)
    except (EdgeError, AssertionError):
        return {name: _alone(chosen[name], folder) for name in few}
    return dict.fromkeys(few, "pass")


def _class(error: EdgeError) -> str:
    text = str(error)
    return next((name for name, pattern in _CLASSES if re.search(pattern, text)), f"CRASH: {text}")


@dataclass(frozen=True)
class _Ready:
    """A case with its shaping inputs made constants."""

    case: Any
    proto: onnx.ModelProto
    feeds: Mapping[str, Any]


def _ready(case: Any, prefix: str = "") -> _Ready:
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    feeds = {prefix + name: value for name, value in _runtime_inputs(proto, case.data_sets[0][0])}
    return _Ready(case, onnx.compose.add_prefix(proto, prefix) if prefix else proto, feeds)


def _computed(few: Sequence[_Ready], folder: Path) -> dict[str, Any]:
    """Outputs, by feature name, of one package that holds all of them."""
    whole = onnx.ModelProto()
    whole.CopyFrom(few[0].proto)
    for ready in few[1:]:
        whole.graph.MergeFrom(ready.proto.graph)
        whole.functions.MergeFrom(ready.proto.functions)
    package = convert(ir.from_proto(whole), PackageOptions(precision="fp32", target=TARGET))
    feeds = {name: value for ready in few for name, value in ready.feeds.items()}
    return Evaluator(save(package, folder / "n.mlpackage"))({mil_name(name): value for name, value in feeds.items()})


def _check(ready: _Ready, got: Mapping[str, Any]) -> None:
    case = ready.case
    for value, reference in zip(ready.proto.graph.output, case.data_sets[0][1], strict=True):
        is_message = isinstance(reference, onnx.TensorProto)
        want = onnx.numpy_helper.to_array(reference) if is_message else np.asarray(reference)
        result = np.asarray(got[mil_name(value.name)])
        result = result.reshape(()) if want.ndim == 0 else result
        assert result.shape == want.shape, f"{value.name}: {result.shape} is not {want.shape}"
        np.testing.assert_allclose(
            result.astype(np.float64), want.astype(np.float64), rtol=case.rtol, atol=_absolute(case, want)
        )


def _absolute(case: Any, want: Any) -> float:
    """Tolerance near zero; half floats may be off by one unit of the largest value."""
    unit = float(np.spacing(np.abs(want).max())) if want.dtype == np.float16 and want.size else 1e-6
    return max(float(case.atol), unit)


def _runtime_inputs(proto: onnx.ModelProto, inputs: Any) -> Iterator[tuple[str, Any]]:
    """Inputs left after those of `_SHAPING` were made constants of the graph."""
    shaping = {
        node.input[index]
        for node in proto.graph.node
        for index in _SHAPING.get(node.op_type, ())
        if index < len(node.input)
    }
    declared = list(proto.graph.input)
    del proto.graph.input[:]
    for entry, value in zip(declared, inputs, strict=True):
        if entry.name in shaping and not isinstance(value, list):
            tensor = value if isinstance(value, onnx.TensorProto) else onnx.numpy_helper.from_array(np.asarray(value))
            tensor.name = entry.name
            proto.graph.initializer.append(tensor)
        else:
            proto.graph.input.append(entry)
            yield entry.name, _array(value)


def _array(value: Any) -> Any:
    """Data of a test: some come as messages, for the types numpy lacks; scalars are fed as [1]."""
    if isinstance(value, onnx.TensorProto):
        value = onnx.numpy_helper.to_array(value)
    return value if isinstance(value, list) or value is None else np.atleast_1d(np.asarray(value))
