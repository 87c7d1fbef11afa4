"""An ONNX file written weight by weight: protobuf's own writer holds every weight two more times in memory.

A message is the sequence of its fields, in any order, so the small fields are left to protobuf and the weights follow
as further fields of the graph. (https://protobuf.dev/programming-guides/encoding)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgevision.errors import GraphError

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

__all__ = ["onnx_chunks", "save_onnx"]

#: A protobuf message's largest size in bytes.
_LIMIT: Final = 2**31 - 1


def save_onnx(model: ir.Model, path: Path) -> None:
    """Write a graph with its weights into one file.

    Raises:
        GraphError: larger than the 2 GiB that an ONNX file can be.
        OSError: `path` cannot be written.
    """
    with path.open("wb") as stream:
        for chunk in onnx_chunks(model):
            stream.write(chunk)


def onnx_chunks(model: ir.Model) -> Iterator[bytes]:
    """The bytes of a graph's file, each weight of the main graph in a chunk of its own; equal graphs, equal bytes.

    Raises:
        GraphError: they are more than a file can have.
    """
    import onnx

    proto, weights = _without_weights(model)
    entries = [weights.get(entry.name, entry) for entry in map(_copy, proto.graph.initializer)]
    names = [entry.name for entry in proto.graph.initializer]
    del proto.graph.initializer[:]
    graph = proto.graph.SerializeToString(deterministic=True)
    proto.ClearField("graph")
    sizes = [len(_bytes(entry, name)) for entry, name in zip(entries, names, strict=True)]
    fields = [_field(onnx.GraphProto.INITIALIZER_FIELD_NUMBER, size) for size in sizes]
    size = len(graph) + sum(sizes) + sum(map(len, fields))
    if size > _LIMIT:
        raise GraphError(
            model.graph.name or "the graph",
            f"with its weights it takes {size / 2**30:.1f} GiB, and an ONNX file holds 2",
            "export a smaller variant",
        )
    yield proto.SerializeToString(deterministic=True)
    yield _field(onnx.ModelProto.GRAPH_FIELD_NUMBER, size)
    yield graph
    for field, entry, name in zip(fields, entries, names, strict=True):
        yield field
        yield _bytes(entry, name)


def _without_weights(model: ir.Model) -> tuple[onnx.ModelProto, dict[str, ir.TensorProtocol]]:
    """The graph as protobuf with its weights' contents left out, and those weights by name.

    Strings, and what lies in other files, stay as they are.
    """
    import onnx_ir

    weights = {
        name: value.const_value
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
        and value.const_value.dtype != onnx_ir.DataType.STRING
        and not isinstance(value.const_value, onnx_ir.ExternalTensor)
    }
    try:
        for name, tensor in weights.items():
            shape = onnx_ir.Shape(tensor.shape.numpy())
            empty = onnx_ir.ExternalTensor("", None, None, tensor.dtype, shape=shape, name=name)
            model.graph.initializers[name].const_value = empty
        return onnx_ir.to_proto(model), weights
    finally:
        for name, tensor in weights.items():
            model.graph.initializers[name].const_value = tensor


def _copy(entry: onnx.TensorProto) -> onnx.TensorProto:
    import onnx

    copy = onnx.TensorProto()
    copy.CopyFrom(entry)
    return copy


def _bytes(entry: ir.TensorProtocol | onnx.TensorProto, name: str) -> bytes:
    """One initializer's message."""
    import onnx
    import onnx_ir

    if not isinstance(entry, onnx.TensorProto):
        entry = onnx_ir.serde.serialize_tensor(entry)
        entry.name = name
    content: bytes = entry.SerializeToString(deterministic=True)
    return content


def _field(number: int, size: int) -> bytes:
    """What stands before a field that is a message of so many bytes: its number, its kind (2) and its size."""
    return _varint(number << 3 | 2) + _varint(size)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first, the high bit set while more follow."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
