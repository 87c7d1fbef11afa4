"""DFT as one product with a constant matrix, for runtimes that have no Fourier transform.

    X_k = sum_n x_n exp(-2 pi i n k / N)      x_n = 1/N sum_k X_k exp(+2 pi i n k / N)

With real and imaginary part as one axis, x in R^(n*c) and X in R^(k*2), the transform along an axis is X = x W, where W
holds the cosines and sines. One-sided transforms keep k <= N/2, and their inverse counts every conjugate pair twice; a
`dft_length` that pads or cuts the signal only changes which rows W has. N^2 products stand for N log N, which a matrix
unit does faster at image sizes; above `LARGEST` samples the pass declines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.passes.graph_pass import Application, Declined, PassResult
from edgevision.proof import difference

__all__ = ["LARGEST", "dft_as_matmul"]

LARGEST: Final = 2048
EQUATION: Final = "dft_as_matmul"


@dataclass(frozen=True, kw_only=True)
class _Transform:
    """A DFT with everything fixed: `signal` samples of `parts` reals each become `kept` of `results` each."""

    axis: int
    signal: int
    length: int
    parts: int
    inverse: bool
    onesided: bool

    @property
    def kept(self) -> int:
        return self.length // 2 + 1 if self.onesided and not self.inverse else self.length

    @property
    def results(self) -> int:
        return 1 if self.onesided and self.inverse else 2

    def matrix(self) -> NDArray[np.float64]:
        """W, [signal * parts, kept * results]."""
        n = np.arange(self.signal)
        used = n < (self.length // 2 + 1 if self.onesided and self.inverse else self.length)
        # n * k is reduced first: the angle of a large product would lose its digits.
        angle = 2 * np.pi * (np.outer(n, np.arange(self.kept)) % self.length) / self.length
        weight = used[:, None] * np.ones(self.kept)
        if self.inverse:
            weight = weight / self.length
            if self.onesided:
                alone = (n == 0) | (2 * n == self.length)
                weight = weight * np.where(alone, 1.0, 2.0)[:, None]
        sign = 1.0 if self.inverse else -1.0
        cosine, sine = weight * np.cos(angle), sign * weight * np.sin(angle)
        of_real, of_imaginary = np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)
        whole = np.stack([of_real, of_imaginary], 1)[:, : self.parts, :, : self.results]
        return whole.reshape(self.signal * self.parts, self.kept * self.results)

    def by_fft(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same on [rows, signal, parts] by numpy's transforms, as the reference of the proof."""
        z = x[..., 0] + (1j * x[..., 1] if self.parts == 2 else 0)
        if self.onesided and self.inverse:
            return np.fft.irfft(z, self.length)[..., None]
        spectrum = (np.fft.ifft if self.inverse else np.fft.fft)(z, self.length)[:, : self.kept]
        return np.stack([spectrum.real, spectrum.imag], -1)


def dft_as_matmul(model: ir.Model) -> PassResult:
    """Replace every DFT whose length is known, in the graph and its subgraphs."""
    applied, declined = [], []
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        if node.op_type != "DFT" or node.domain not in ("", "ai.onnx"):
            continue
        where = (node.name or "DFT",)
        transform = _read(node, model.opset_imports.get("", 20))
        if isinstance(transform, str):
            declined.append(Declined(where=where, equation=EQUATION, reason=transform))
            continue
        nodes = _replace(node, transform)
        exact, rounded = _errors(transform)
        size = transform.signal * transform.parts * transform.kept * transform.results
        applied.append(
            Application(
                where=where,
                equation=EQUATION,
                params_after=size,
                nodes_before=1,
                nodes_after=nodes,
                error_float64=exact,
                error_float32=rounded,
            )
        )
    return PassResult(model=model, applied=tuple(applied), declined=tuple(declined))


def _read(node: ir.Node, opset: int) -> _Transform | str:
    """The transform a node asks for, or why it cannot be told."""
    x = node.inputs[0]
    if x is None or x.shape is None:
        return "the shape of its input is unknown"
    rank = len(x.shape)
    axis = node.attributes.get_int("axis", 1) if opset < 20 else _scalar(node, 2, -2)
    asked = _scalar(node, 1, 0)
    if axis is None or asked is None:
        return "its axis or its length is computed, not constant"
    signal, parts = x.shape[axis % rank], x.shape[-1]
    if not isinstance(signal, int) or not isinstance(parts, int):
        return f"axis {axis} of its input has no fixed size"
    inverse, onesided = bool(node.attributes.get_int("inverse", 0)), bool(node.attributes.get_int("onesided", 0))
    length = asked or (2 * (signal - 1) if inverse and onesided else signal)
    if length > LARGEST:
        return f"{length} samples; the matrix would hold {2 * length * length:,} numbers (at most {LARGEST} samples)"
    return _Transform(axis=axis % rank, signal=signal, length=length, parts=parts, inverse=inverse, onesided=onesided)


def _scalar(node: ir.Node, index: int, default: int) -> int | None:
    """A constant scalar input, its default when it is absent, None when it is computed."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        return default
    constant = ir.convenience.get_const_tensor(value)
    return None if constant is None else int(constant.numpy().reshape(-1)[0])


def _replace(node: ir.Node, transform: _Transform) -> int:
    """Transpose the axis behind the others, fold it with the parts, multiply, and go back. How many nodes that is."""
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.shape is None or node.graph is None:
        raise ValueError("a DFT without input or graph was read as one that has them")
    rank = len(x.shape)
    kind = x.dtype or ir.DataType.FLOAT
    others = [axis for axis in range(rank - 1) if axis != transform.axis]
    order = [*others, transform.axis, rank - 1]
    back = [order.index(axis) for axis in range(rank)]
    prefix = node.name or y.name or "DFT"
    made: list[ir.Node] = []

    def step(op: str, *inputs: ir.Value | None, **attributes: list[int] | ir.TensorProtocol) -> ir.Value:
        attrs = ir.convenience.convert_attributes(attributes)
        made.append(ir.Node("", op, inputs, attrs, name=f"{prefix}/{op}_{len(made)}"))
        made[-1].outputs[0].dtype = kind
        return made[-1].outputs[0]

    def constant(array: NDArray[np.generic], dtype: ir.DataType) -> ir.Value:
        value = step("Constant", value=ir.tensor(array, dtype))
        value.dtype = dtype
        return value

    weight = constant(transform.matrix().astype(kind.numpy()), kind)
    # 0 keeps a leading size, so that an open batch needs no arithmetic on shapes.
    lead = [0] * len(others)
    value = step("Transpose", x, perm=order) if order != list(range(rank)) else x
    value = step("Reshape", value, constant(np.array([*lead, -1]), ir.DataType.INT64))
    value = step("MatMul", value, weight)
    last = [*lead, transform.kept, transform.results]
    value = step("Reshape", value, constant(np.array(last), ir.DataType.INT64))
    value = step("Transpose", value, perm=back) if back != list(range(rank)) else value
    value.shape, value.type = y.shape, y.type or ir.TensorType(kind)
    ir.convenience.replace_nodes_and_values(node.graph, node, [node], made, [y], [value])
    return sum(new.op_type != "Constant" for new in made)


def _errors(transform: _Transform) -> tuple[float, float]:
    x = np.random.default_rng(0).standard_normal((4, transform.signal, transform.parts))
    reference, matrix = transform.by_fft(x).reshape(4, -1), transform.matrix()
    flat = x.reshape(4, -1)
    rounded = flat.astype(np.float32) @ matrix.astype(np.float32)
    return (
        difference(reference, flat @ matrix).max_abs_over_std,
        difference(reference, rounded).max_abs_over_std,
    )
