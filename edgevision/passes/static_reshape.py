"""Reshape(x, computed shape) → Reshape(x, constant) where the result has at most one dimension that is not known.

With a dynamic batch the exporter computes every shape at run time (Shape, Squeeze, Concat); the one unknown
dimension is what −1 stands for, so all of that arithmetic can go.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

__all__ = ["make_reshapes_static"]


def make_reshapes_static(model: ir.Model) -> bool:
    """Rewrite in place; returns whether any Reshape changed."""
    changed = False
    for node in model.graph:
        if node.op_type != "Reshape" or node.domain != "":
            continue
        shape, target = node.outputs[0].shape, node.inputs[1]
        if shape is None or target is None or target.const_value is not None:
            continue
        dims = [d if isinstance(d, int) else -1 for d in shape]
        if dims.count(-1) > 1 or 0 in dims:
            continue
        name = f"{node.outputs[0].name}_shape"
        constant = ir.tensor(np.array(dims, dtype=np.int64), name=name)
        value = ir.Value(
            name=name, shape=ir.Shape([len(dims)]), type=ir.TensorType(ir.DataType.INT64), const_value=constant
        )
        model.graph.initializers[name] = value
        node.replace_input_with(1, value)
        node.attributes.pop("allowzero", None)
        changed = True
    return changed
