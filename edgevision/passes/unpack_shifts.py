"""Packed power-of-two layers -> their bodies, for a runtime that folds constants: dense weights, made once at loading.

The kernel that reads packed codes saves memory and costs time (docs/shiftadd.md), so what is to run fast is unpacked. The
integer activations stay: every product of theirs is rounded, and only the kernel does that without a float64 matrix.
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.passes.dense_shifts import SHIFTS
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.inline_bodies import inline_bodies

__all__ = ["refuse_integer_shifts", "unpack_shifts"]


def unpack_shifts(model: ir.Model) -> PassResult:
    """Inline the bodies of all shift layers but those with integer activations, in place."""
    inlined = inline_bodies(model, _unpacked)
    applied = tuple(replace(one, equation="unpack_shifts") for one in inlined.applied)
    return replace(inlined, applied=applied)


def refuse_integer_shifts(model: ir.Model, runtime: str) -> None:
    """GraphError where `model` has integer activations, for a runtime without the 64-bit numbers of their body."""
    names = [str(n.name) for n in model.graph.all_nodes() if n.op_type in SHIFTS and not _unpacked(n)]
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise GraphError(
            f"node {names[0]}{more}",
            f"its activations are int32, whose sums need 64-bit numbers that {runtime} does not have",
            "convert with `--activations fixed` for it, or export with --target ort",
        )


def _unpacked(node: ir.Node) -> bool:
    return node.op_type in SHIFTS and node.attributes.get_string("activations") != "int32"
