"""Linear layers of ShiftAddViT's PVT at one thread: packed shifts, their unpacked body, dense float and INT8 in turn.

python tests/bench/shift.py [--seconds S] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from edgevision import native
from edgevision.ops.bit_packing import pack
from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES
from edgevision.ops.shift_code import ShiftCode

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


def candidates(rows: int, K: int, N: int, folder: Path) -> tuple[dict[str, onnxruntime.InferenceSession], Array]:
    """Sessions that compute the same layer."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, K)).astype(np.float32)
    code = ShiftCode(form="ps", bits=5)
    codes = code.encode(rng.standard_normal((N, K)) / K**0.5)
    dense = code.decode(codes).T.astype(np.float32)
    plain = graph([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.ascontiguousarray(dense)}, rows, K, N)
    onnx.save(plain, folder / "dense.onnx")
    quantize_static(
        folder / "dense.onnx", folder / "int8.onnx", Rows(x), per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    files = {"dense float": folder / "dense.onnx", "INT8": folder / "int8.onnx"}
    for activations in ("float", "int32"):
        node = helper.make_node(
            "EvShiftLinear", ["x", "packed"], ["y"], domain=DOMAIN, form="ps", bits=5, activations=activations,
            **PLUGIN_ATTRIBUTES,
        )  # fmt: skip
        files[f"shift kernel, {activations}"] = folder / f"shift-{activations}.onnx"
        onnx.save(graph([node], {"packed": pack(codes, code.width)}, rows, K, N), files[f"shift kernel, {activations}"])
    return {name: session(file) for name, file in files.items()}, x


def session(file: Path) -> onnxruntime.InferenceSession:
    """On one thread, with our kernels."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    native.register(options)
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def race(runs: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Median of each candidate's processor time over dense's of the same round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(times["dense float"]) < 5:
        for name, run in runs.items():
            start = time.process_time()
            for _ in range(3):
                run()
            times[name].append(time.process_time() - start)
    dense = np.array(times["dense float"])
    return {name: float(np.median(np.array(taken) / dense)) for name, taken in times.items()}


def main() -> None:
    """Race all shapes; print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each shape")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for shape in SHAPES:
        sessions, x = candidates(*shape, given.out)
        runs = {name: partial(opened.run, None, {"x": x}) for name, opened in sessions.items()}
        rows.append({"shape": shape, "times": race(runs, given.seconds)})
    names = list(rows[0]["times"])
    lines = ["| tokens x inputs x outputs | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [
        f"| {' x '.join(map(str, row['shape']))} | " + " | ".join(f"{row['times'][name]:.2f}" for name in names) + " |"
        for row in rows
    ]
    (given.out / "shift.json").write_text(json.dumps(rows, indent=1))
    (given.out / "shift.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
