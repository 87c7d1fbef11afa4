"""Weights of files older than IR version 4 are constants.

Such a file must list every initializer among its inputs too, whether or not anybody may replace it. ONNX Runtime takes
them for constants, and so do we: they leave the signature, and the file becomes one of version 4, where an initializer
that is still an input may be replaced.
"""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["fix_initializers"]

_OPTIONAL_SINCE = 4


def fix_initializers(model: ir.Model) -> bool:
    """Take the initializers of an old file out of its inputs, in place; returns whether there were any."""
    if model.ir_version >= _OPTIONAL_SINCE:
        return False
    model.ir_version = _OPTIONAL_SINCE
    weights = [value for value in model.graph.inputs if value.is_initializer()]
    for value in weights:
        model.graph.inputs.remove(value)
    return bool(weights)
