"""An ML program as it lies on disk: package, specification, operations, constants.

Only the saved bytes are read: the protobuf specification and the weight file. Nothing of the conversion is reused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import TargetError
from edgevision.targets.coreml.evaluator.blob import WeightFile, unpack
from edgevision.targets.coreml.quiet import quiet

__all__ = ["Block", "Operation", "Program", "TensorType", "open_package"]

Array = NDArray[Any]
Constant = Array | str | list[str]

_NAMES = (
    {1: "bool", 2: "string", 10: "fp16", 11: "fp32", 21: "int8", 22: "int16", 23: "int32", 24: "int64"}
    | {25: "int4", 31: "uint8", 32: "uint16", 33: "uint32", 34: "uint64", 35: "uint4", 36: "uint2", 37: "uint1"}
    | {38: "uint6", 39: "uint3"}
)
_NUMPY: dict[str, Any] = {
    "bool": np.bool_,
    "fp16": np.float16,
    "fp32": np.float32,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint64": np.uint64,
}
_BITS = {"int4": 4, "uint4": 4, "uint2": 2, "uint1": 1, "uint6": 6, "uint3": 3}


@dataclass(frozen=True)
class TensorType:
    """Element type and dims of a value, None where a dim is flexible; dims are None for what is not a tensor."""

    dtype: str
    dims: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        inputs: per parameter, the arguments: names of values, or constants given in place.
        outputs: name and type of each output.
    """

    kind: str
    name: str
    inputs: Mapping[str, Sequence[str | tuple[Constant]]]
    outputs: Sequence[tuple[str, TensorType]]
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class Block:
    """Operations in order, with the names of the block's inputs and outputs."""

    inputs: Sequence[tuple[str, TensorType]]
    outputs: Sequence[str]
    operations: Sequence[Operation]


@dataclass(frozen=True)
class Program:
    """A program with its constants.

    Attributes:
        opset: as the specification names it, `CoreML7` for iOS 17.
        specification: the parsed `Model` message.
    """

    opset: str
    main: Block
    constants: Mapping[str, Constant]
    specification: Any = field(repr=False)


def open_package(path: Path) -> Program:
    """Read the `.mlpackage` at `path`; TargetError where it is not one or is damaged."""
    model_file = _model_file(path)
    with quiet():
        from coremltools.proto import Model_pb2
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    specification = Model_pb2.Model()
    try:
        specification.ParseFromString(model_file.read_bytes())
    except DecodeError as error:
        raise TargetError(str(model_file), "the specification cannot be parsed", "export the package again") from error
    if specification.WhichOneof("Type") != "mlProgram":
        raise TargetError(str(path), "it holds no ML program", "edgevision reads the packages it writes")
    function = specification.mlProgram.functions["main"]
    if function.opset not in function.block_specializations:
        raise TargetError(str(path), "the specification names no program", "export the package again")
    return _Reader(model_file.parent).program(specification, function)


def _model_file(path: Path) -> Path:
    manifest = path / "Manifest.json"
    if not manifest.is_file():
        raise TargetError(str(path), "it is not an .mlpackage (no Manifest.json)", "export it again")
    try:
        entries = json.loads(manifest.read_text())
        relative = entries["itemInfoEntries"][entries["rootModelIdentifier"]]["path"]
    except (ValueError, KeyError, TypeError) as error:
        raise TargetError(str(manifest), "the manifest is damaged", "export the package again") from error
    model_file: Path = (path / "Data" / str(relative)).resolve()
    if not model_file.is_relative_to(path.resolve()) or not model_file.is_file():
        raise TargetError(str(path), f"its model {relative!r} is missing", "export the package again")
    return model_file


class _Reader:
    """Turns protobuf messages into the classes above, collecting constants on the way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, WeightFile] = {}
        self.constants: dict[str, Constant] = {}

    def program(self, specification: Any, function: Any) -> Program:
        block = function.block_specializations[function.opset]
        inputs = [(entry.name, self._type(entry.type)) for entry in function.inputs]
        main = self._block(block, inputs)
        return Program(function.opset, main, self.constants, specification)

    def _block(self, block: Any, inputs: Sequence[tuple[str, TensorType]]) -> Block:
        operations = []
        for message in block.operations:
            if message.type == "const":
                self.constants[message.outputs[0].name] = self._value(message.attributes["val"])
            else:
                operations.append(self._operation(message))
        return Block(inputs, list(block.outputs), operations)

    def _operation(self, message: Any) -> Operation:
        inputs = {key: self._arguments(argument) for key, argument in message.inputs.items()}
        # Constants of compressed weights are attributes, not inputs, in the specification.
        inputs |= {key: [(self._value(value),)] for key, value in message.attributes.items() if key != "name"}
        name = message.attributes["name"]
        blocks = [self._block(b, [(e.name, self._type(e.type)) for e in b.inputs]) for b in message.blocks]
        return Operation(
            kind=message.type,
            name=str(self._value(name)) if "name" in message.attributes else "",
            inputs=inputs,
            outputs=[(entry.name, self._type(entry.type)) for entry in message.outputs],
            blocks=blocks,
        )

    def _arguments(self, argument: Any) -> list[str | tuple[Constant]]:
        return [
            binding.name if binding.WhichOneof("binding") == "name" else (self._value(binding.value),)
            for binding in argument.arguments
        ]

    @staticmethod
    def _type(message: Any) -> TensorType:
        if message.WhichOneof("type") != "tensorType":
            return TensorType(str(message.WhichOneof("type")), None)
        tensor = message.tensorType
        dims = tuple(
            int(d.constant.size) if d.WhichOneof("dimension") == "constant" else None for d in tensor.dimensions
        )
        return TensorType(_NAMES.get(tensor.dataType, str(tensor.dataType)), dims)

    def _value(self, message: Any) -> Constant:
        if message.type.WhichOneof("type") == "listType":
            return [str(self._value(item)) for item in message.immediateValue.list.values]
        kind = self._type(message.type)
        dims = tuple(dim or 0 for dim in kind.dims or ())
        count = prod(dims)
        if message.WhichOneof("value") == "blobFileValue":
            flat: Any = self._file(message.blobFileValue.fileName).read(message.blobFileValue.offset, count)
            return _signed(flat, kind.dtype).reshape(dims)
        tensor = message.immediateValue.tensor
        which = tensor.WhichOneof("value")
        if kind.dtype == "string":
            texts = [text.decode() if isinstance(text, bytes) else text for text in tensor.strings.values]
            return texts if dims else texts[0]
        if which == "bytes":
            raw = np.frombuffer(tensor.bytes.values, np.uint8)
            if kind.dtype in _BITS:
                return _signed(unpack(raw, _BITS[kind.dtype], count), kind.dtype).reshape(dims)
            return np.frombuffer(tensor.bytes.values, _NUMPY[kind.dtype]).reshape(dims)
        values = list(getattr(tensor, which).values) if which else [0] * count
        return np.asarray(values, _NUMPY[kind.dtype]).reshape(dims)

    def _file(self, name: str) -> WeightFile:
        if name not in self.files:
            path = (self.folder / name.removeprefix("@model_path/")).resolve()
            if not path.is_relative_to(self.folder.resolve()):
                raise TargetError(name, "a weight file lies outside the package", "do not use this package")
            self.files[name] = WeightFile(path)
        return self.files[name]


def _signed(flat: Array, dtype: str) -> Array:
    """Packed int4 values with their sign restored; everything else as it is."""
    return np.where(flat > 7, flat.astype(np.int8) - 16, flat).astype(np.int8) if dtype == "int4" else flat
