"""What TensorRT needs to know of an operator to run its Triton kernel, and how those descriptions are found.

A description is arithmetic on shapes, free of Triton and of TensorRT, so that the same one serves the build (which
kernel to compile, which shape comes out), the interpreter's proof, the launch inside `enqueue` and the GPU tests.
Every module of this package that defines `PLUGIN` describes an operator; its kernel has the module's name.
"""

from __future__ import annotations

import hashlib
import json
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from edgevision.errors import GraphError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = [
    "Call",
    "Dims",
    "ElementType",
    "Input",
    "Launch",
    "Plugin",
    "Specialisation",
    "block_for",
    "plugins",
    "power_of_two",
]

ElementType = Literal["fp32", "fp16"]
Dims = tuple[int | None, ...]
Attribute = int | str | tuple[int, ...]

#: Wide enough for every operator here and narrow enough for a 65,536-register file.
MAX_WARPS: Final = 8


@dataclass(frozen=True, kw_only=True)
class Input:
    """An input of the operator.

    Attributes:
        name: as in the operator's schema.
        data: whether it may be stored in half precision; a parameter (A, D, filters) stays float32.
        optional: whether it may be left out.
        neutral: the value that stands for an absent input where TensorRT needs a tensor, None where none does.
    """

    name: str
    data: bool = True
    optional: bool = False
    neutral: float | None = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """One use of an operator: dims (None where dynamic) and storage type per input, None for an absent one."""

    shapes: tuple[Dims | None, ...]
    types: tuple[ElementType | None, ...]
    attributes: Mapping[str, Attribute]

    def as_json(self) -> dict[str, Any]:
        """The call as it travels to a worker."""
        return {"shapes": self.shapes, "types": self.types, "attributes": dict(self.attributes)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Call:
        """The inverse of `as_json`, which JSON has turned tuples into lists for."""
        return Call(
            shapes=tuple(None if shape is None else tuple(shape) for shape in data["shapes"]),
            types=tuple(data["types"]),
            attributes={k: tuple(v) if isinstance(v, list) else v for k, v in data["attributes"].items()},
        )

    def closed(self) -> Call:
        """The call with a size for every open dim: two samples, and an extent no block size divides."""
        sizes = [None if s is None else tuple(d or (2, 33)[axis > 0] for axis, d in enumerate(s)) for s in self.shapes]
        return Call(shapes=tuple(sizes), types=self.types, attributes=self.attributes)

    def dims(self, index: int) -> Dims:
        """Dims of an input that must be there."""
        shape = self.shapes[index] if index < len(self.shapes) else None
        if shape is None:
            raise GraphError(f"input {index}", "the operator was called without it", "give every required input")
        return shape

    def static(self, index: int, axis: int) -> int:
        """A dim that a kernel is compiled for."""
        size = self.dims(index)[axis]
        if size is None:
            raise GraphError(
                f"axis {axis} of input {index}", "the plugin's kernel needs it fixed", "export with a fixed size"
            )
        return size

    def has(self, index: int) -> bool:
        """Whether input `index` is given."""
        return index < len(self.shapes) and self.shapes[index] is not None


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How many programs a launch starts and the integers it passes after the pointers."""

    programs: int
    scalars: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Specialisation:
    """A kernel with everything its machine code depends on. Equal ones share one compiled image.

    Attributes:
        inputs: storage type of each input, None for an absent one, which the compiled kernel has no argument for.
        output: storage type of the result.
    """

    kernel: str
    inputs: tuple[ElementType | None, ...]
    output: ElementType
    constants: Mapping[str, int]
    warps: int

    def as_json(self) -> dict[str, Any]:
        """The specialisation as it travels to the compiler's process."""
        return {
            "kernel": self.kernel,
            "inputs": list(self.inputs),
            "output": self.output,
            "constants": dict(self.constants),
            "warps": self.warps,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Specialisation:
        """The inverse of `as_json`."""
        return Specialisation(
            kernel=data["kernel"],
            inputs=tuple(data["inputs"]),
            output=data["output"],
            constants=dict(data["constants"]),
            warps=data["warps"],
        )

    @property
    def key(self) -> str:
        """A short name, equal exactly for equal specialisations."""
        text = json.dumps(self.as_json(), sort_keys=True)
        return f"{self.kernel}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One operator as a TensorRT plugin.

    Attributes:
        operator: ONNX op type.
        kernel: stem of the Triton module and name of its kernel.
        inputs: in the schema's order. The kernel takes their pointers, then the scalars, then the output's pointer:
            the order of TensorRT's ahead-of-time plugins.
        attributes: name -> default; the type of the default is the attribute's type.
        scalars: names of the kernel's integer arguments, in order.
        constants: the compile-time constants for a call, which must not use a dynamic dim's value.
        launch: programs and scalars for concrete shapes and the constants the kernel was compiled with; in +, -, *
            and // as well, since an ahead-of-time plugin calls it with symbolic dims.
        output: dims of the result in +, -, * and //, so that it works on ints and on TensorRT's symbolic dims alike.
        why_not: reason why the plugin cannot take a call, empty when it can.
        shrink: the call with one or two samples and at most eight channels, all else as it is, for the proof; fixed sizes.
        draw: inputs for a call, hard ones included (None where absent); float32, fixed sizes.
        plain: the operator as the simplest float32 loop, where rounding accumulates over one; its error is the
            measure of what float32 can do.
    """

    operator: str
    kernel: str
    inputs: Sequence[Input]
    attributes: Mapping[str, Attribute]
    scalars: Sequence[str]
    constants: Callable[[Call], dict[str, int]]
    launch: Callable[[Call, Mapping[str, int]], Launch]
    output: Callable[[Sequence[Sequence[Any]], Mapping[str, Attribute]], tuple[Any, ...]]
    why_not: Callable[[Call], str]
    shrink: Callable[[Call], Call]
    draw: Callable[[Call, np.random.Generator], list[NDArray[np.float32] | None]]
    plain: Callable[[Call, Sequence[Array | None]], Array] | None = None

    def specialise(self, call: Call) -> Specialisation:
        """The kernel that serves `call`. The result is stored like the first input."""
        given = [call.types[i] if call.has(i) else None for i in range(len(self.inputs))]
        constants = self.constants(call)
        return Specialisation(
            kernel=self.kernel,
            inputs=tuple(given),
            output=call.types[0] or "fp32",
            constants=constants,
            warps=_warps(constants),
        )


def _warps(constants: Mapping[str, int]) -> int:
    """Eight elements a thread: enough loads in flight, few enough registers."""
    tile = constants.get("CHANNEL_BLOCK", 1) * constants.get("LENGTH_BLOCK", 1) * constants.get("BLOCK", 1)
    return max(1, min(MAX_WARPS, tile // 256))


def block_for(size: int | None, largest: int) -> int:
    """A block of 64, 256 or 1024 for `size` elements (None: open), at most `largest`: few sizes share few kernels."""
    wanted = largest if size is None else size
    return next((block for block in (64, 256) if wanted <= block), largest) if largest > 64 else largest


def power_of_two(size: int) -> int:
    """The least power of two that is at least `size`."""
    return 1 << max(0, size - 1).bit_length()


@cache
def plugins() -> Mapping[str, Plugin]:
    """All descriptions by operator name."""
    package = import_module("edgevision.targets.tensorrt.plugins")
    modules = (import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__))
    found = [module.PLUGIN for module in modules if hasattr(module, "PLUGIN")]
    return {plugin.operator: plugin for plugin in found}
