"""A bundle of one convolution, written in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgevision.hashing import file_sha256
from edgevision.manifest import GraphInfo, Manifest, ModelInfo, Parity
from edgevision.pipeline import SAMPLE
from edgevision.stages.samples import Samples
from edgevision.targets.reference import Reference


def small_bundle(folder: Path) -> Path:
    folder.mkdir()
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((8, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3]), helper.make_node("Relu", ["x"], ["z"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 30, 30]),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, 32, 32]),
        ],
        [numpy_helper.from_array(weight, "w")],
    )
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    feed = {"x": generator.standard_normal((1, 3, 32, 32)).astype(np.float32)}
    with Reference().load(path) as runner:
        outputs = runner(feed)
    Samples(feeds=[feed], outputs=[outputs], reference="the graph").write_first(folder / SAMPLE)
    sha256 = file_sha256(path)
    manifest = Manifest(
        model=ModelInfo(name="small", variant="small", params=216, input_shape=(1, 3, 32, 32), weights={}),
        target={"name": "ort", "precision": "fp32", "options": {"precision": "fp32", "plugins": False}},
        graph=GraphInfo(path="model.onnx", sha256=sha256, nodes=2, opset=18, custom_ops={}),
        artifact={"path": "model.onnx", "sha256": sha256, "runnable": True, "library": None},
        stages=(),
        parity=Parity(
            status="verified",
            reference="the graph",
            samples=1,
            max_abs_over_std=0.0,
            relative_l2_error=0.0,
            tolerance=1e-4,
        ),
        inputs=({"name": "x", "shape": [1, 3, 32, 32], "dtype": "float32"},),
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder
