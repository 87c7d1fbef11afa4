"""Linear layers of ShiftAddViT's PVT: dense float, INT8, and the kernel on packed powers of two, with their files' sizes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from turns import Entrants

from edgevision import native
from edgevision.ops.bit_packing import pack
from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES
from edgevision.ops.shift_code import ShiftCode
from edgevision.proof import difference

__all__ = ["SHAPES", "shift_entrants"]

#: Tokens, inputs, outputs: projections and feed-forwards of PVT v2-B0's stages at 224 px, and its classifier.
SHAPES = ((3136, 32, 32), (784, 64, 512), (196, 160, 640), (49, 256, 1024), (49, 1024, 256), (1, 256, 1000))
Array = NDArray[np.generic]


def graph(nodes: list[onnx.NodeProto], weights: dict[str, Array], rows: int, K: int, N: int) -> onnx.ModelProto:
    """One layer from x to y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, K])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, N])
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)]
    made = helper.make_graph(nodes, "layer", [x], [y], constants)
    return helper.make_model(made, opset_imports=opsets, ir_version=10)


class Rows(CalibrationDataReader):
    """The timed input, for INT8's ranges."""

    def __init__(self, x: Array) -> None:
        self.left = [{"x": x}]

    def get_next(self) -> dict[str, Array] | None:
        return self.left.pop() if self.left else None


def shift_entrants(shape: tuple[int, int, int], folder: Path, threads: int) -> Entrants:
    """One layer in every form; all but INT8 compute the same."""
    rows, K, N = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, K)).astype(np.float32)
    files = _write_files(x, rng.standard_normal((N, K)) / K**0.5, folder)
    runs = {name: partial(session(file, threads).run, None, {"x": x}) for name, file in files.items()}
    _check(runs)
    return Entrants(runs=runs, bytes={name: file.stat().st_size for name, file in files.items()})


def _write_files(x: Array, weight: Array, folder: Path) -> dict[str, Path]:
    (rows, K), N = x.shape, weight.shape[0]
    code = ShiftCode(form="ps", bits=5)
    codes = code.encode(weight)
    dense = code.decode(codes).T.astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    files = {"dense float": folder / "dense.onnx", "INT8": folder / "int8.onnx"}
    plain = graph([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.ascontiguousarray(dense)}, rows, K, N)
    onnx.save(plain, files["dense float"])
    quantize_static(
        files["dense float"], files["INT8"], Rows(x), per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    for activations in ("float", "int32"):
        node = helper.make_node(
            "EvShiftLinear", ["x", "packed"], ["y"], domain=DOMAIN, form="ps", bits=5, activations=activations,
            **PLUGIN_ATTRIBUTES,
        )  # fmt: skip
        file = files[f"shift kernel, {activations}"] = folder / f"shift-{activations}.onnx"
        onnx.save(graph([node], {"packed": pack(codes, code.width)}, rows, K, N), file)
    return files


def _check(runs: dict[str, Callable[[], list[Array]]]) -> None:
    """INT8 rounds weights and activations to 8 bits, int32 activations to 16 after the point."""
    (wanted,) = runs["dense float"]()
    for name, run in runs.items():
        error = difference(wanted, run()[0]).max_abs_over_std
        if not error <= (0.1 if name == "INT8" else 1e-2 if "int32" in name else 1e-4):
            raise RuntimeError(f"{name} computes something else: {error:.1e} of std from dense float")


def session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """With our kernels."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    native.register(options)
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
