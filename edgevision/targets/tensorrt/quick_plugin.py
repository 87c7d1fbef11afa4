"""The operators as ahead-of-time quick plugins, where TensorRT has `tensorrt.plugin`: no Python when the engine runs.

TensorRT asks for a kernel's PTX, and for the launch as expressions in the tensors' sizes; the descriptions' arithmetic
on shapes answers both. A quick plugin has a fixed number of inputs, so an operator whose nodes differ there (some with
a gate, some without) stays an `IPluginV3`.

Checked against the Python layer of TensorRT 11.4; never run: TensorRT's libraries cannot be installed without a GPU.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgevision.errors import TargetError
from edgevision.ops.operator import DOMAIN
from edgevision.targets.tensorrt.driver import WARP
from edgevision.targets.tensorrt.image import KernelImage
from edgevision.targets.tensorrt.plugins.plugin import Attribute, Call, ElementType, Plugin, plugins

__all__ = ["register_quick"]


def register_quick(trt: Any, trtp: Any, images: Mapping[str, bytes], inputs: Mapping[str, int]) -> None:
    """Register a quick plugin for every operator in `inputs`.

    Args:
        trt: the module `tensorrt`.
        trtp: the module `tensorrt.plugin`.
        images: encoded kernel images by specialisation key.
        inputs: operator -> how many inputs its nodes have.
    """
    for operator, count in inputs.items():
        plugin = plugins()[operator]
        name = f"{DOMAIN}::{operator}"
        trtp.register(name)(_describe(trtp, plugin, count))
        trtp.aot_impl(name)(_implement(trt, trtp, plugin, count, images))


class _Size:
    """A symbolic size under all of Python's arithmetic, the reflected operators included."""

    def __init__(self, trtp: Any, expression: Any) -> None:
        self._trtp = trtp
        self.expression = expression if not isinstance(expression, int) else trtp.ShapeExpr(expression)

    def _with(self, apply: Callable[[Any, Any], Any], other: _Size | int) -> _Size:
        right = other if isinstance(other, _Size) else _Size(self._trtp, other)
        return _Size(self._trtp, apply(self.expression, right.expression))

    def __add__(self, other: _Size | int) -> _Size:
        return self._with(lambda a, b: a + b, other)

    def __sub__(self, other: _Size | int) -> _Size:
        return self._with(lambda a, b: a - b, other)

    def __mul__(self, other: _Size | int) -> _Size:
        return self._with(lambda a, b: a * b, other)

    def __floordiv__(self, other: _Size | int) -> _Size:
        return self._with(lambda a, b: a // b, other)

    __radd__, __rmul__ = __add__, __mul__


def _signature(trtp: Any, plugin: Plugin, count: int, tail: Sequence[str], returns: Any) -> inspect.Signature:
    """What `tensorrt.plugin` reads: the tensors by name, then the typed attributes, then what it adds itself."""
    import numpy as np
    from numpy.typing import NDArray

    kinds: dict[type, Any] = {int: int, str: str, tuple: NDArray[np.int32]}
    annotated = [(tensor.name, trtp.TensorDesc) for tensor in plugin.inputs[:count]]
    annotated += [(name, kinds[type(default)]) for name, default in plugin.attributes.items()]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind, annotation=annotation) for name, annotation in annotated]
    return inspect.Signature([*parameters, *(inspect.Parameter(n, kind) for n in tail)], return_annotation=returns)


def _attributes(plugin: Plugin, values: Sequence[Any]) -> dict[str, Attribute]:
    read: dict[str, Attribute] = {}
    for (name, default), value in zip(plugin.attributes.items(), values, strict=True):
        read[name] = tuple(int(v) for v in value) if isinstance(default, tuple) else type(default)(value)
    return read


def _describe(trtp: Any, plugin: Plugin, count: int) -> Callable[..., Any]:
    def describe(*given: Any) -> Any:
        tensors, attributes = given[:count], _attributes(plugin, given[count:])
        shapes = [[_Size(trtp, size) for size in tensor.shape_expr] for tensor in tensors]
        dims = plugin.output(shapes, attributes)
        sizes = tuple(size.expression if isinstance(size, _Size) else size for size in dims)
        return trtp.TensorDesc(trtp.ShapeExprs.from_tuple(sizes), tensors[0].dtype)

    describe.__signature__ = _signature(trtp, plugin, count, (), trtp.TensorDesc)  # type: ignore[attr-defined]
    return describe


def _implement(
    trt: Any, trtp: Any, plugin: Plugin, count: int, images: Mapping[str, bytes]
) -> Callable[..., tuple[Any, ...]]:
    known: dict[Any, ElementType] = {trt.float32: "fp32", trt.float16: "fp16"}

    def call(tensors: Sequence[Any], attributes: Mapping[str, Attribute], *, symbolic: bool) -> Call:
        absent = [None] * (len(plugin.inputs) - count)
        shapes = [tuple(_dim(trtp, size, symbolic=symbolic) for size in tensor.shape_expr) for tensor in tensors]
        kinds = [known[tensor.dtype] for tensor in tensors]
        return Call(shapes=(*shapes, *absent), types=(*kinds, *absent), attributes=attributes)

    def implement(*given: Any) -> tuple[Any, ...]:
        *front, _, _ = given
        tensors, attributes = front[:count], _attributes(plugin, front[count:])
        fixed = call(tensors, attributes, symbolic=False)
        key = plugin.specialise(fixed).key
        if key not in images:
            raise TargetError(f"plugin {plugin.operator}", f"no kernel was compiled for {fixed}", "report it")
        image = KernelImage.decode(images[key])
        ptx = next(binary for binary in image.binaries if binary.portable)
        plan = plugin.launch(call(tensors, attributes, symbolic=True), image.specialisation.constants)
        launch = trtp.KernelLaunchParams()
        launch.grid_x = _expression(trtp, plan.programs)
        launch.block_x = WARP * image.specialisation.warps
        launch.shared_mem = ptx.shared
        scalars = trtp.SymIntExprs(len(plan.scalars))
        for index, value in enumerate(plan.scalars):
            scalars[index] = trtp.SymInt32(_expression(trtp, value))
        return image.entry, ptx.code.rstrip(b"\0"), launch, scalars

    returns = tuple[str, bytes, trtp.KernelLaunchParams, trtp.SymIntExprs]
    implement.__signature__ = _signature(trtp, plugin, count, ("outputs", "tactic"), returns)  # type: ignore[attr-defined]
    return implement


def _dim(trtp: Any, size: Any, *, symbolic: bool) -> Any:
    """A constant as an int, so that masks and tables can be made of it; anything else as an expression, or open."""
    if size.is_constant:
        return int(size.constant_value())
    return _Size(trtp, size) if symbolic else None


def _expression(trtp: Any, value: Any) -> Any:
    return value.expression if isinstance(value, _Size) else trtp.ShapeExpr(value)
