"""What TensorRT's parser gets wrong in silence, or refuses in riddles, is refused here, before it, with the mend.

Measured with TensorRT for RTX 1.7: random bytes parse, DOUBLE becomes FLOAT, an unsigned quantized tensor saturates as
a signed one, a function named like an operator replaces it, and of two bodies under one name the first is taken for
both. `onnx.checker` runs first, so that what follows may rely on a well-formed file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.operator import DOMAIN
from edgevision.targets.tensorrt.flavor import Flavor

__all__ = ["OPSETS", "admit", "check_file"]

#: Opsets whose operators the parser was seen to import; it reads the number and does not check it.
OPSETS: Final = range(11, 28)
_NAMED: Final = 5

_NO_REWRITE: Final = "no pass of edgevision rewrites it: export the model without it"
_DEQUANTIZE: Final = "export it in Q/DQ form (explicit QuantizeLinear and DequantizeLinear, symmetric int8)"
#: Operators the parser has no importer for, or one that cannot work, and what would rewrite them.
_UNSUPPORTED: Final[Mapping[str, str]] = {
    "DFT": "the pass dft_as_matmul rewrites a DFT of constant length and axis: fix its input's size",
    **dict.fromkeys(["CumProd", "Col2Im", "Det", "Unique", "AffineGrid", "MaxUnpool", "MaxRoiPool"], _NO_REWRITE),
    **dict.fromkeys(["DeformConv", "NonZero", "SplitToSequence"], _NO_REWRITE),
    **dict.fromkeys(["LinearAttention", "CausalConvWithState"], _NO_REWRITE),
    **dict.fromkeys(["QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"], _DEQUANTIZE),
    "DynamicQuantizeLinear": _DEQUANTIZE,
}
#: Operators only TensorRT for RTX lacks: their plugins are not in its package.
_UNSUPPORTED_RTX: Final[Mapping[str, str]] = dict.fromkeys(
    ["NonMaxSuppression", "RoiAlign"], "run it after the engine, or build with --flavor enterprise"
)
_LARGEST_TOPK: Final = 3840


def check_file(path: Path) -> None:
    """`onnx.checker` on a file, which the parser would accept even as random bytes.

    Raises:
        GraphError: it is not a valid model, or its external data is missing.
    """
    try:
        if path.stat().st_size == 0:
            raise GraphError(path.name, "it is empty", "export the model again")
        onnx.checker.check_model(str(path))
    except (onnx.checker.ValidationError, OSError, ValueError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise GraphError(path.name, f"it is not a valid ONNX model: {lines[0]}", "export the model again") from error


def admit(model: ir.Model, flavor: Flavor, plugin_operators: frozenset[str]) -> None:
    """Refuse what the parser of `flavor` would get wrong. `plugin_operators` are those a plugin takes.

    Raises:
        GraphError: names the first nodes and what to do.
    """
    _check_opset(model)
    _check_functions(model)
    complaints: dict[tuple[str, str], list[str]] = defaultdict(list)
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.domain == DOMAIN and node.op_type in plugin_operators:
            continue
        for reason, mend in _complaints(node, model, flavor):
            complaints[reason, mend].append(str(node.name or node.op_type))
    for (reason, mend), nodes in complaints.items():
        more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
        raise GraphError(f"node {', '.join(nodes[:_NAMED])}{more}", reason, mend)
    _check_types(model)


def _check_opset(model: ir.Model) -> None:
    opset = model.opset_imports.get("", model.opset_imports.get("ai.onnx"))
    if opset is not None and opset not in OPSETS:
        raise GraphError(
            f"opset {opset}",
            f"TensorRT reads opsets {OPSETS.start} to {OPSETS.stop - 1} and would guess at any other",
            "export the model again with opset 20",
        )


def _check_functions(model: ir.Model) -> None:
    """The parser looks a function up by its name alone."""
    standard = {schema.name for schema in onnx.defs.get_all_schemas()}
    bodies: dict[str, list[str]] = defaultdict(list)
    for domain, name, overload in model.functions:
        if domain == DOMAIN:
            continue  # those of plugin nodes: a plugin goes before a function
        bodies[name].append(f"{domain}::{name}{':' if overload else ''}{overload}")
        if name in standard:
            reason = f"it is named like ONNX's {name}, and TensorRT would run that instead"
            raise GraphError(f"function {domain}::{name}", reason, "rename the function, or export it inlined")
    for name, found in bodies.items():
        if len(found) > 1:
            reason = f"{', '.join(found)} share one name, and TensorRT would take the first body for all"
            raise GraphError(f"function {name}", reason, "rename the functions, or export them inlined")


def _complaints(node: ir.Node, model: ir.Model, flavor: Flavor) -> Iterator[tuple[str, str]]:
    if node.op_identifier() in model.functions:
        return
    if node.domain not in ("", "ai.onnx"):
        yield f"TensorRT has no operator {node.domain}::{node.op_type}", _foreign_mend(node)
        return
    unsupported = {**_UNSUPPORTED, **(_UNSUPPORTED_RTX if flavor.name == "rtx" else {})}
    if node.op_type in unsupported:
        yield f"{flavor.title} does not support {node.op_type}", unsupported[node.op_type]
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        yield from _quantization_complaints(node)
    if node.op_type in ("ScatterND", "ScatterElements") and node.attributes.get_string("reduction", "none") != "none":
        yield f"{flavor.title} does not support {node.op_type} with a reduction", _NO_REWRITE
    if node.op_type == "Resize" and node.attributes.get_int("antialias", 0) != 0:
        yield f"{flavor.title} does not support Resize with antialias", "export the model without antialias"
    if node.op_type == "Loop" and len(node.inputs) > 1 and node.inputs[1] is None:
        yield "TensorRT's parser fails on a Loop without a condition", "pass a constant True as the condition"
    if node.op_type == "TopK":
        yield from _topk_complaints(node, flavor)


def _foreign_mend(node: ir.Node) -> str:
    if node.domain == DOMAIN:
        return "its body is not in the model: export it again"
    if node.domain == "com.microsoft":
        return "it is an optimized operator of ONNX Runtime: export the model before ONNX Runtime optimizes it"
    return "export the model in standard operators"


def _quantization_complaints(node: ir.Node) -> Iterator[tuple[str, str]]:
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    quantized = [*node.outputs, zero] if node.op_type == "QuantizeLinear" else [node.inputs[0], zero]
    if any(value is not None and value.dtype in (ir.DataType.UINT8, ir.DataType.UINT16) for value in quantized):
        yield "it is quantized to an unsigned type, which TensorRT treats as a signed one", _SYMMETRIC
    elif node.op_type == "QuantizeLinear" and zero is None and node.attributes.get_int("output_dtype", 0) == 0:
        yield "it is quantized to uint8 (no zero point is given), which TensorRT treats as int8", _SYMMETRIC
    constant = ir.convenience.get_const_tensor(zero) if zero is not None else None
    if zero is not None and constant is None:
        yield "its zero point is computed, and TensorRT takes it for 0", _SYMMETRIC
    if constant is not None and bool(np.any(constant.numpy().astype(np.int64))):
        yield "its zero point is not 0, and TensorRT has none", _SYMMETRIC


_SYMMETRIC: Final = "quantize symmetrically to int8 with zero point 0 (`edgevision quantize --scheme trt`)"


def _topk_complaints(node: ir.Node, flavor: Flavor) -> Iterator[tuple[str, str]]:
    value = node.inputs[1] if len(node.inputs) > 1 else None
    constant = ir.convenience.get_const_tensor(value) if value is not None else None
    if constant is not None and int(constant.numpy().reshape(-1)[0]) > _LARGEST_TOPK:
        yield f"{flavor.title} has no TopK above {_LARGEST_TOPK}", "ask for fewer"


def _check_types(model: ir.Model) -> None:
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    values += [v for node in ir.traversal.RecursiveGraphIterator(model.graph) for v in node.outputs]
    doubles = [str(value.name) for value in values if value.dtype == ir.DataType.DOUBLE]
    if doubles:
        raise GraphError(
            f"tensor {', '.join(doubles[:_NAMED])}",
            "it is DOUBLE, which TensorRT silently computes in FLOAT",
            "export the model in float32",
        )
