"""The scan alone: our kernel, every body, and ONNX Runtime's LinearAttention, on the shapes of real networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgevision import native
from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES, operators
from edgevision.passes.attach_bodies import attach_bodies
from edgevision.proof import difference

__all__ = ["SHAPES", "scan_candidates"]

Array = NDArray[np.float32]
#: Channels, states, length; softplus, bias, skip and gate included.
SHAPES = ((448, 1, 144), (448, 1, 1024), (384, 16, 3136), (192, 16, 196))
_FORMS = ("serial", "whole", "two_level", "radix8")
_OPERATOR = "EvSelectiveScan"
#: A body that keeps the whole state sequence several times is no candidate beyond this many elements.
_LARGEST_STATE = 4_000_000


def scan_candidates(shape: tuple[int, int, int], threads: int) -> dict[str, Callable[[], Array]]:
    """The candidates in turn, the kernel first. Each is checked against the float64 reference before."""
    D, N, L = shape
    feed = _feed(D, N, L)
    runs: dict[str, Callable[[], Array]] = {}
    if native.why_not() is None:
        runs["kernel"] = _run(_custom(feed, "serial"), feed, threads, kernels=True)
    for form in _FORMS:
        if form == "serial" or D * N * L <= _LARGEST_STATE:
            runs[f"body: {form}"] = _run(_custom(feed, form), feed, threads)
    runs["LinearAttention"] = _run(_linear_attention(D, N, L), feed, threads)
    wanted = operators()[_OPERATOR].reference(list(feed.values()), {"delta_softplus": 1, "reverse": (0,)})[0]
    for name, run in runs.items():
        error = difference(wanted, run()).max_abs_over_std
        if not error <= 1e-4:
            raise RuntimeError(f"{name} is no selective scan: {error:.1e} of std from the reference")
    return runs


def _feed(D: int, N: int, L: int) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    shapes = {"u": (1, D, L), "delta": (1, D, L), "A": (D, N), "B": (1, 1, N, L), "C": (1, 1, N, L)}
    shapes |= {"D": (D,), "delta_bias": (D,), "z": (1, D, L)}
    feed = {name: rng.standard_normal(size, np.float32) for name, size in shapes.items()}
    feed["A"] = -np.exp(0.5 * feed["A"])
    return feed


def _custom(feed: Mapping[str, Array], form: str) -> bytes:
    """The node with a body of `form`."""
    values = [
        ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(array.shape))
        for name, array in feed.items()
    ]
    given: dict[str, Any] = {"delta_softplus": 1, "reverse": (0,), **PLUGIN_ATTRIBUTES}
    node = ir.node(_OPERATOR, values, given, domain=DOMAIN, name="scan")
    y = node.outputs[0]
    y.name, y.type, y.shape = "y", ir.TensorType(ir.DataType.FLOAT), ir.Shape(feed["delta"].shape)
    model = ir.Model(ir.Graph(values, [y], nodes=[node], opset_imports={"": 20, DOMAIN: 1}, name="scan"), ir_version=10)
    attach_bodies(model, form)
    serialized: bytes = ir.to_proto(model).SerializeToString()
    return serialized


def _linear_attention(D: int, N: int, L: int) -> bytes:
    """The same by com.microsoft's LinearAttention: a head per channel, key B, query C, value dt·u, decay dt·A."""
    node = helper.make_node
    constants = {"cols": [1, D, L, 1], "rows": [1, L, 1, N], "packed": [1, L, D * N], "bias_shape": [1, D, 1]}
    constants |= {"decay_rows": [1, 1, D, N], "steps": [1, L, D, 1], "whole": [1, L, D, N]}
    nodes = [
        node("Reshape", ["delta_bias", "bias_shape"], ["bias"]),
        node("Add", ["delta", "bias"], ["raw"]),
        node("Softplus", ["raw"], ["dt"]),
        node("Mul", ["dt", "u"], ["du"]),
        node("Transpose", ["du"], ["value"], perm=[0, 2, 1]),
        node("Transpose", ["dt"], ["dt_t"], perm=[0, 2, 1]),
        node("Reshape", ["dt_t", "steps"], ["dt_4"]),
        node("Reshape", ["A", "decay_rows"], ["A_4"]),
        node("Mul", ["dt_4", "A_4"], ["decay_4"]),
        node("Reshape", ["decay_4", "packed"], ["decay"]),
    ]
    for name in ("B", "C"):
        nodes += [
            node("Transpose", [name], [f"{name}_t"], perm=[0, 3, 1, 2]),
            node("Reshape", [f"{name}_t", "rows"], [f"{name}_4"]),
            node("Expand", [f"{name}_4", "whole"], [f"{name}_all"]),
            node("Reshape", [f"{name}_all", "packed"], [f"{name}_packed"]),
        ]
    attention = {"q_num_heads": D, "kv_num_heads": D, "update_rule": "gated", "scale": 1.0}
    inputs = ["C_packed", "B_packed", "value", "", "decay"]
    nodes += [
        node("LinearAttention", inputs, ["attended", "state"], domain="com.microsoft", **attention),
        node("Transpose", ["attended"], ["scanned"], perm=[0, 2, 1]),
        node("Reshape", ["D", "bias_shape"], ["skip"]),
        node("Mul", ["skip", "u"], ["skipped"]),
        node("Add", ["scanned", "skipped"], ["y0"]),
        node("Sigmoid", ["z"], ["sigmoid"]),
        node("Mul", ["z", "sigmoid"], ["gate"]),
        node("Mul", ["y0", "gate"], ["y"]),
    ]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n, a in _feed(D, N, L).items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, D, L])
    held = [onnx.numpy_helper.from_array(np.array(dims, np.int64), name) for name, dims in constants.items()]
    graph = helper.make_graph(nodes, "attention", infos, [output], held)
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model: bytes = helper.make_model(graph, opset_imports=imports, ir_version=10).SerializeToString()
    return model


def _run(model: bytes, feed: Mapping[str, Array], threads: int, *, kernels: bool = False) -> Callable[[], Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if kernels:
        native.register(options)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    taken = dict(feed)
    return lambda: np.asarray(session.run(["y"], taken)[0])
