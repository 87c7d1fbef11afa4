"""What an ahead-of-time plugin tells TensorRT, with stand-ins for the classes of `tensorrt.plugin`.

The stand-ins follow the Python layer of TensorRT 11.4: its symbolic sizes have no reflected operators, take no plain
int from the left, and are read through `is_constant` and `constant_value()`.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgevision.targets.tensorrt.image import Binary, KernelImage
from edgevision.targets.tensorrt.plugins.plugin import Call, plugins
from edgevision.targets.tensorrt.quick_plugin import register_quick


@dataclass
class ShapeExpr:
    value: Any
    open: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.value, ShapeExpr):
            self.open = self.value.open
            self.value = self.value.value

    def _with(self, other: ShapeExpr, value: int) -> ShapeExpr:
        assert isinstance(other, ShapeExpr)
        return ShapeExpr(value, self.open or other.open)

    def __add__(self, other: ShapeExpr) -> ShapeExpr:
        return self._with(other, self.value + other.value)

    def __sub__(self, other: ShapeExpr) -> ShapeExpr:
        return self._with(other, self.value - other.value)

    def __mul__(self, other: ShapeExpr) -> ShapeExpr:
        return self._with(other, self.value * other.value)

    def __floordiv__(self, other: ShapeExpr) -> ShapeExpr:
        return self._with(other, self.value // other.value)

    @property
    def is_constant(self) -> bool:
        return not self.open

    def constant_value(self) -> int:
        assert not self.open
        return self.value


class ShapeExprs(list):
    @classmethod
    def from_tuple(cls, sizes: tuple) -> ShapeExprs:
        return cls(size if isinstance(size, ShapeExpr) else ShapeExpr(size) for size in sizes)


@dataclass
class TensorDesc:
    shape_expr: ShapeExprs
    dtype: str


@dataclass
class KernelLaunchParams:
    grid_x: Any = 1
    block_x: Any = 1
    shared_mem: Any = 0


@dataclass
class Registered:
    describe: dict = field(default_factory=dict)
    implement: dict = field(default_factory=dict)

    def module(self) -> SimpleNamespace:
        return SimpleNamespace(
            TensorDesc=TensorDesc,
            ShapeExpr=ShapeExpr,
            ShapeExprs=ShapeExprs,
            KernelLaunchParams=KernelLaunchParams,
            SymIntExprs=lambda length: [None] * length,
            SymInt32=lambda expression: expression,
            register=lambda name: lambda function: self.describe.setdefault(name, function),
            aot_impl=lambda name: lambda function: self.implement.setdefault(name, function),
        )


TRT = SimpleNamespace(float32="f32", float16="f16")
SCAN = ((3, 8, 300), (3, 8, 300), (8, 2), (3, 2, 2, 300), (3, 2, 2, 300), (8,), (8,))
CASES = {
    "EvSelectiveScan": (SCAN, {"delta_softplus": 1, "reverse": (0, 1)}),
    "EvDWT": (((3, 5, 9, 13), (20, 1, 4, 4)), {"mode": "zero"}),
    "EvIDWT": (((3, 5, 4, 9, 13), (4, 1, 2, 2)), {"mode": "periodization", "crop": (1, 0)}),
}


@pytest.mark.parametrize("operator", CASES)
@pytest.mark.parametrize("batch_open", [False, True])
def test_the_launch_is_the_plugins_own(operator: str, batch_open: bool) -> None:
    shapes, attributes = CASES[operator]
    plugin = plugins()[operator]
    absent = [None] * (len(plugin.inputs) - len(shapes))
    types = (*["fp32"] * len(shapes), *absent)
    known = Call(shapes=(*shapes, *absent), types=types, attributes=attributes)
    opened = [(None, *s[1:]) if batch_open and len(s) > 2 and s[0] == 3 else s for s in shapes]
    specialisation = plugin.specialise(Call(shapes=(*opened, *absent), types=types, attributes=attributes))
    ptx = Binary(architecture=80, portable=True, shared=96, code=b"text\0")
    image = KernelImage(specialisation=specialisation, entry="entry", binaries=(ptx,))
    registered = Registered()
    register_quick(TRT, registered.module(), {specialisation.key: image.encode()}, {operator: len(shapes)})

    tensors = [
        TensorDesc(
            ShapeExprs(ShapeExpr(d, open=batch_open and a == 0 and len(s) > 2 and d == 3) for a, d in enumerate(s)),
            "f32",
        )
        for s in shapes
    ]
    values = [np.array(v, np.int32) if isinstance(v, tuple) else v for v in attributes.values()]
    name = f"edgevision::{operator}"
    result = registered.describe[name](*tensors, *values)
    assert tuple(size.value for size in result.shape_expr) == plugin.output(shapes, attributes)
    entry, code, launch, scalars = registered.implement[name](*tensors, *values, (result,), 0)
    plan = plugin.launch(known, specialisation.constants)
    assert (entry, code) == ("entry", b"text")
    assert launch.grid_x.value == plan.programs
    assert launch.grid_x.open == batch_open
    assert launch.block_x == 32 * specialisation.warps
    assert launch.shared_mem == 96
    assert tuple(scalar.value for scalar in scalars) == plan.scalars


def test_signatures_are_the_ones_tensorrt_reads() -> None:
    registered = Registered()
    module = registered.module()
    register_quick(TRT, module, {}, {"EvSelectiveScan": 7})
    described = inspect.signature(registered.describe["edgevision::EvSelectiveScan"])
    names = ["u", "delta", "A", "B", "C", "D", "delta_bias", "delta_softplus", "reverse"]
    assert list(described.parameters) == names
    assert [p.annotation for p in described.parameters.values()] == [TensorDesc] * 7 + [int, NDArray[np.int32]]
    assert described.return_annotation is TensorDesc
    implemented = inspect.signature(registered.implement["edgevision::EvSelectiveScan"])
    assert list(implemented.parameters) == [*names, "outputs", "tactic"]
