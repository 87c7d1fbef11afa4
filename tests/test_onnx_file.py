"""Files written weight by weight: the same message as protobuf's own, the same bytes every time, in one copy of memory."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgevision import onnx_file
from edgevision.errors import GraphError
from edgevision.hashing import file_sha256, model_sha256
from edgevision.onnx_file import onnx_chunks, save_onnx

MIB = 2**20


def graph_of(*tensors: ir.TensorProtocol) -> ir.Model:
    """Every tensor is an initializer and an output."""
    values = [ir.Value(name=f"w{i}", const_value=t, type=ir.TensorType(t.dtype)) for i, t in enumerate(tensors)]
    for value, tensor in zip(values, tensors, strict=True):
        value.shape = ir.Shape(tensor.shape.numpy())
    graph = ir.Graph([], values, nodes=[], initializers=values, opset_imports={"": 18}, name="all")
    return ir.Model(graph, ir_version=10, metadata_props={"edgevision.note": "kept"})


def kinds() -> list[ir.TensorProtocol]:
    rng = np.random.default_rng()
    typed = onnx.TensorProto(name="typed", data_type=onnx.TensorProto.FLOAT, dims=[3], float_data=[1.5, -2.0, 3.25])
    return [
        ir.tensor(rng.standard_normal((17, 300)).astype(np.float32), name="another name"),
        ir.tensor(np.array(3, np.int64)),
        ir.tensor(np.zeros((0, 4), np.float16)),
        ir.tensor(["names", "of", "classes"]),
        ir.tensor(rng.integers(-8, 8, 7).astype(np.int8), dtype=ir.DataType.INT4),
        ir.serde.TensorProtoTensor(typed),
    ]


def test_it_is_the_message_that_protobuf_writes(tmp_path: Path) -> None:
    model = graph_of(*kinds())
    save_onnx(model, tmp_path / "ours.onnx")
    ir.save(model, tmp_path / "theirs.onnx")
    ours, theirs = onnx.load(tmp_path / "ours.onnx"), onnx.load(tmp_path / "theirs.onnx")
    assert ours == theirs and len(ours.graph.initializer) == 6
    onnx.checker.check_model(str(tmp_path / "ours.onnx"))


def test_the_model_is_as_it_was(tmp_path: Path) -> None:
    tensors = kinds()
    model = graph_of(*tensors)
    save_onnx(model, tmp_path / "net.onnx")
    assert [value.const_value for value in model.graph.initializers.values()] == tensors


def test_a_graph_hashes_as_its_file(tmp_path: Path) -> None:
    model = graph_of(*kinds())
    save_onnx(model, tmp_path / "net.onnx")
    assert model_sha256(model) == file_sha256(tmp_path / "net.onnx")
    weight = model.graph.initializers["w0"]
    weight.const_value = ir.tensor(np.nextafter(weight.const_value.numpy(), np.float32(9)))  # type: ignore[union-attr]
    assert model_sha256(model) != file_sha256(tmp_path / "net.onnx")


@pytest.mark.parametrize("length", [0x7F, 0x80, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000])
def test_lengths_around_every_size_of_their_own_digits(length: int) -> None:
    """A weight so long that its message, or the graph's, is just below or above a power of 128."""
    for size in range(length - 40, length + 4):
        model = graph_of(ir.tensor(np.full(size, 7, np.uint8)))
        assert onnx.ModelProto.FromString(b"".join(onnx_chunks(model))) == ir.to_proto(model)


def test_a_weight_that_lies_in_another_file_stays_there(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(range(8)))
    tensor = ir.ExternalTensor("w.bin", 0, 8, ir.DataType.UINT8, shape=ir.Shape((8,)), name="w0", base_dir=tmp_path)
    save_onnx(graph_of(tensor), tmp_path / "net.onnx")
    (entry,) = onnx.load(tmp_path / "net.onnx", load_external_data=False).graph.initializer
    assert {e.key: e.value for e in entry.external_data} == {"location": "w.bin", "offset": "0", "length": "8"}


def test_writing_needs_the_memory_of_one_weight(tmp_path: Path) -> None:
    model = graph_of(*(ir.tensor(np.full(4 * MIB, i, np.uint8)) for i in range(16)))
    tracemalloc.start()
    save_onnx(model, tmp_path / "net.onnx")
    digest = model_sha256(model)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert digest == hashlib.sha256((tmp_path / "net.onnx").read_bytes()).hexdigest()
    assert peak < 4 * 4 * MIB  # of 64: protobuf's copies are not traced, Python's bytes are


def test_more_than_a_file_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "_LIMIT", 3 * MIB)
    save_onnx(graph_of(ir.tensor(np.zeros(2 * MIB, np.uint8))), tmp_path / "net.onnx")
    with pytest.raises(GraphError, match=r"all: with its weights it takes 0\.0 GiB, and an ONNX file holds 2"):
        save_onnx(graph_of(ir.tensor(np.zeros(4 * MIB, np.uint8))), tmp_path / "large.onnx")
