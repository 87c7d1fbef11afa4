"""The operators as `IPluginV3` plugins in Python, for TensorRT for RTX and TensorRT alike.

While an engine is built, a plugin learns its tensors' types and sizes, picks the kernel image compiled for them and
puts the image among its serialized fields: the engine carries the machine code. When the engine is loaded, the same
creator gets those fields back, and `enqueue` launches the code through the CUDA driver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgevision.errors import TargetError
from edgevision.ops.operator import DOMAIN
from edgevision.targets.tensorrt import driver
from edgevision.targets.tensorrt.image import KernelImage
from edgevision.targets.tensorrt.plugins.plugin import Attribute, Call, ElementType, Plugin, plugins

__all__ = ["FIELD", "register"]

FIELD = "kernel"
VERSION = "1"


def register(trt: Any, images: Mapping[str, bytes], without: frozenset[str] = frozenset()) -> list[Any]:
    """Register a creator per operator; keep the result, which TensorRT only borrows.

    Args:
        trt: the flavor's module.
        images: encoded kernel images by specialisation key; empty when engines are only loaded.
        without: operators that something else is registered for.
    """
    registry = trt.get_plugin_registry()
    maker: Any = type("OperatorCreator", (_Creator, trt.IPluginCreatorV3One), {})
    creators = [maker(trt, plugin, images) for name, plugin in plugins().items() if name not in without]
    for creator in creators:
        if not registry.register_creator(creator, DOMAIN):
            raise TargetError(f"plugin {creator.name}", "TensorRT did not take its creator", "see the build's log")
    return creators


class _Dim:
    """One of TensorRT's symbolic dims under Python's arithmetic."""

    def __init__(self, trt: Any, builder: Any, expression: Any) -> None:
        self._trt, self._builder, self.expression = trt, builder, expression

    def _with(self, operation: str, other: _Dim | int) -> _Dim:
        right = other.expression if isinstance(other, _Dim) else self._builder.constant(other)
        kind = getattr(self._trt.DimensionOperation, operation)
        return _Dim(self._trt, self._builder, self._builder.operation(kind, self.expression, right))

    def __add__(self, other: _Dim | int) -> _Dim:
        return self._with("SUM", other)

    def __sub__(self, other: _Dim | int) -> _Dim:
        return self._with("SUB", other)

    def __mul__(self, other: _Dim | int) -> _Dim:
        return self._with("PROD", other)

    __rmul__ = __mul__

    def __floordiv__(self, other: _Dim | int) -> _Dim:
        return self._with("FLOOR_DIV", other)


def _output_dims(trt: Any, plugin: Plugin, attributes: Mapping[str, Attribute], inputs: Any, builder: Any) -> Any:
    shapes = [[_Dim(trt, builder, dims[axis]) for axis in range(len(dims))] for dims in inputs]
    dims = plugin.output(shapes, attributes)
    result = trt.DimsExprs(len(dims))
    for axis, dim in enumerate(dims):
        result[axis] = dim.expression if isinstance(dim, _Dim) else builder.constant(dim)
    return result


def _read_attributes(plugin: Plugin, fields: Any) -> dict[str, Attribute]:
    """The node's attributes, typed as the description's defaults are."""
    given = {field.name: field for field in fields}
    values: dict[str, Attribute] = {}
    for name, default in plugin.attributes.items():
        if name not in given:
            values[name] = default
        elif isinstance(default, str):
            values[name] = bytes(given[name].data.astype("uint8")).rstrip(b"\0").decode()
        else:
            numbers = tuple(int(value) for value in given[name].data)
            values[name] = numbers if isinstance(default, tuple) else numbers[0]
    return values


def _field_kind(trt: Any, default: Attribute) -> Any:
    return trt.PluginFieldType.CHAR if isinstance(default, str) else trt.PluginFieldType.INT32


def _written_attributes(trt: Any, attributes: Mapping[str, Attribute]) -> list[tuple[str, Any, Any]]:
    import numpy as np

    fields = []
    for name, value in attributes.items():
        kind = _field_kind(trt, value)
        array = np.frombuffer(value.encode() + b"\0", np.int8) if isinstance(value, str) else np.array(value, np.int32)
        fields.append((name, np.atleast_1d(array), kind))
    return fields


def _element_types(trt: Any) -> dict[Any, ElementType]:
    return {trt.DataType.FLOAT: "fp32", trt.DataType.HALF: "fp16"}


def _call(trt: Any, plugin: Plugin, attributes: Mapping[str, Attribute], tensors: Sequence[Any]) -> Call:
    known = _element_types(trt)
    shapes = [tuple(None if size < 0 else int(size) for size in tensor.dims) for tensor in tensors]
    absent = len(plugin.inputs) - len(tensors)
    return Call(
        shapes=(*shapes, *[None] * absent),
        types=(*[known[tensor.type] for tensor in tensors], *[None] * absent),
        attributes=attributes,
    )


def _takes(trt: Any, plugin: Plugin, position: int, tensors: Sequence[Any], inputs: int) -> bool:
    """Plain row-major tensors; data in one type, float32 or float16, parameters in float32."""
    tensor = tensors[position].desc
    if tensor.format != trt.TensorFormat.LINEAR:
        return False
    if position < inputs and not plugin.inputs[position].data:
        return bool(tensor.type == trt.DataType.FLOAT)
    return tensor.type in _element_types(trt) and bool(position == 0 or tensor.type == tensors[0].desc.type)


class _Plugin:
    """What a plugin does; the class TensorRT sees adds TensorRT's own bases, which are known at run time only."""

    def __init__(self, maker: _Creator, attributes: Mapping[str, Attribute], image: bytes | None) -> None:
        for base in maker.bases:
            base.__init__(self)
        self.plugin_name, self.plugin_namespace, self.plugin_version = maker.plugin.operator, DOMAIN, VERSION
        self.num_outputs = 1
        self.maker, self.attributes, self.image = maker, attributes, image
        self.code = KernelImage.decode(image) if image else None
        self.call: Call | None = None

    def get_capability_interface(self, kind: Any) -> Any:  # noqa: ARG002
        return self

    def get_output_data_types(self, types: Any) -> list[Any]:
        return [types[0]]

    def get_output_shapes(self, inputs: Any, shape_inputs: Any, builder: Any) -> list[Any]:  # noqa: ARG002
        return [_output_dims(self.maker.trt, self.maker.plugin, self.attributes, inputs, builder)]

    def supports_format_combination(self, position: int, tensors: Any, inputs: int) -> bool:
        return _takes(self.maker.trt, self.maker.plugin, position, tensors, inputs)

    def _called_with(self, tensors: Sequence[Any]) -> Call:
        return _call(self.maker.trt, self.maker.plugin, self.attributes, tensors)

    def configure_plugin(self, inputs: Any, outputs: Any) -> None:  # noqa: ARG002
        call = self._called_with([tensor.desc for tensor in inputs])
        key = self.maker.plugin.specialise(call).key
        images = self.maker.images
        if images and key not in images:
            raise RuntimeError(f"no kernel image {key} was compiled for {self.maker.plugin.operator} {call}")
        self.image = images.get(key, self.image)

    def on_shape_change(self, inputs: Any, outputs: Any) -> None:  # noqa: ARG002
        self.call = self._called_with(inputs)

    def get_workspace_size(self, inputs: Any, outputs: Any) -> int:  # noqa: ARG002
        return 0

    def get_valid_tactics(self) -> list[int]:
        return []

    def set_tactic(self, tactic: int) -> None:
        pass

    def get_fields_to_serialize(self) -> Any:
        import numpy as np

        trt = self.maker.trt
        # TensorRT reads the arrays after this returns: they have to live as long as the plugin.
        self.written = [
            *_written_attributes(trt, self.attributes),
            (FIELD, np.frombuffer(self.image or b"", np.int8), trt.PluginFieldType.INT8),
        ]
        return trt.PluginFieldCollection([trt.PluginField(*field) for field in self.written])

    def enqueue(
        self,
        input_desc: Any,
        output_desc: Any,  # noqa: ARG002
        inputs: Any,
        outputs: Any,
        workspace: int,  # noqa: ARG002
        stream: int,
    ) -> None:
        if self.code is None:
            raise RuntimeError(f"{self.maker.plugin.operator} was loaded without its kernel")
        call = self.call or self._called_with(input_desc)
        driver.launch(self.code, call, (*inputs, outputs[0]), stream)

    def attach_to_context(self, context: Any) -> Any:  # noqa: ARG002
        return self.clone()

    def clone(self) -> Any:
        copy = self.maker.plugin_class(self.maker, self.attributes, None)
        copy.image, copy.code, copy.call = self.image, self.code, self.call
        return copy


class _Creator:
    """Makes plugins of one operator, from a node's attributes or from an engine's fields."""

    def __init__(self, trt: Any, plugin: Plugin, images: Mapping[str, bytes]) -> None:
        import numpy as np

        trt.IPluginCreatorV3One.__init__(self)
        self.trt, self.plugin, self.images = trt, plugin, images
        self.bases = (trt.IPluginV3, trt.IPluginV3OneCore, trt.IPluginV3OneBuild, trt.IPluginV3OneRuntime)
        self.plugin_class: Any = type(f"{plugin.operator}Plugin", (_Plugin, *self.bases), {})
        self.name, self.plugin_namespace, self.plugin_version = plugin.operator, DOMAIN, VERSION
        self.field_names = trt.PluginFieldCollection(
            [trt.PluginField(n, np.array([]), _field_kind(trt, d)) for n, d in plugin.attributes.items()]
        )

    def create_plugin(self, name: str, fields: Any, phase: Any) -> Any:  # noqa: ARG002
        kernel = [bytes(field.data) for field in fields if field.name == FIELD]
        return self.plugin_class(self, _read_attributes(self.plugin, fields), kernel[0] if kernel else None)
