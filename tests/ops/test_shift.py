"""Shift weights: what a code may be, packing, and the operators in every form, against their definitions."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from single_node import feeds, model_of, run, session

from edgevision.errors import GraphError, ModelError
from edgevision.ops.bit_packing import pack, packed_bytes, unpack
from edgevision.ops.operator import AttributeValue
from edgevision.ops.shift_code import BITS, FORMS, ShiftCode
from edgevision.ops.shift_conv import OPERATOR as CONV
from edgevision.ops.shift_conv import shift_conv
from edgevision.ops.shift_linear import OPERATOR as LINEAR
from edgevision.ops.shift_linear import shift_linear
from edgevision.proof import difference

ALL = [ShiftCode(form=form, bits=bits) for form, bits in product(FORMS, BITS)]
each_code = pytest.mark.parametrize("code", ALL, ids=lambda code: f"{code.form}-{code.bits}")
PAPER = [ShiftCode(form=form, bits=5) for form in FORMS]
each_form = pytest.mark.parametrize("code", PAPER, ids=lambda code: code.form)


def weights(rows: int = 9, columns: int = 37) -> NDArray[np.float64]:
    """Of every size, with zeros, ones and what lies outside any range."""
    rng = np.random.default_rng(7)
    w = rng.standard_normal((rows, columns)) * 2.0 ** -rng.integers(0, 18, (rows, columns))
    w[0, :6] = 0.0, -0.0, 1.0, -1.0, 3.0, -1e-30
    return w


def is_power_or_zero(values: NDArray[np.float64]) -> bool:
    mantissa = np.frexp(np.abs(values))[0]
    return bool(np.isin(mantissa, (0.0, 0.5)).all())


@pytest.mark.parametrize(
    ("form", "count", "width"), [("ps", 31, 5), ("q", 33, 6), ("q_nonzero", 32, 5), ("apot", 31, 5)]
)
def test_five_bits_are_the_papers_codes(form: str, count: int, width: int) -> None:
    code = ShiftCode(form=form, bits=5)
    assert (len(set(code.values)), code.width) == (count, width)
    assert {"ps": -14, "q": -15, "q_nonzero": -15}.get(form, 0) in (code.least_exponent, 0)


@each_code
def test_encoding_keeps_what_a_code_can_say(code: ShiftCode) -> None:
    """Every value of a code encodes to itself, and nothing is written that is no code."""
    values = np.unique(code.values) if code.has_zero else np.unique(code.values[code.values != 0])
    assert np.array_equal(code.decode(code.encode(values)), values)
    assert code.width <= 8
    assert np.array_equal(code.values, code.values.astype(np.float32))
    codes = code.encode(weights())
    assert int(codes.max()) < 2**code.width


@each_code
def test_every_weight_is_a_signed_power_of_two_or_zero(code: ShiftCode) -> None:
    w = weights()
    found = code.decode(code.encode(w))
    assert (np.sign(found) == np.sign(w))[w != 0].all() or code.form == "apot"
    if code.form == "apot":
        halves = [np.where(s < 0, 0.0, 2.0**-s) for s in (code.terms.first, code.terms.second)]
        assert np.isin(np.abs(found), halves[0] + halves[1]).all()
    else:
        assert is_power_or_zero(found)
        assert (found[w == 0] == (0.0 if code.has_zero else 2.0**code.least_exponent)).all()


@pytest.mark.parametrize("form", ["ps", "q"])
def test_rounding_is_deepshifts(form: str) -> None:
    """round(log2|w|), clamped, times the sign: computed here as the official modules do, in float32 torch."""
    w = torch.randn(400, 100, generator=torch.Generator().manual_seed(1)) * 0.05
    code = ShiftCode(form=form, bits=5)
    shift = torch.round(torch.log(w.abs()) / np.log(2)).clamp(code.least_exponent, 0)
    assert np.array_equal(code.decode(code.encode(w.numpy())), (2.0**shift * w.sign()).double().numpy())


def test_gaussian_weights_lose_a_fifth() -> None:
    """Relative L2 error 0.204 at five bits, whatever the form of the power of two."""
    w = np.random.default_rng(0).standard_normal(200_000) * 0.05
    found = ShiftCode(form="ps", bits=5).decode(ShiftCode(form="ps", bits=5).encode(w))
    assert np.linalg.norm(found - w) / np.linalg.norm(w) == pytest.approx(0.204, abs=0.002)


@each_code
@pytest.mark.parametrize("columns", [1, 8, 37])
def test_packing_is_bit_exact(code: ShiftCode, columns: int) -> None:
    codes = np.random.default_rng(columns).integers(0, 2**code.width, (5, columns)).astype(np.uint8)
    packed = pack(codes, code.width)
    assert packed.shape == (5, packed_bytes(columns, code.width))
    assert np.array_equal(unpack(packed, code.width, columns), codes)
    whole = int.from_bytes(packed[2].tobytes(), "little")
    assert [whole >> (k * code.width) & (2**code.width - 1) for k in range(columns)] == codes[2].tolist()


@pytest.mark.parametrize("bits", [1, 9, 0, -3])
def test_bits_outside_two_to_eight_are_refused(bits: int) -> None:
    with pytest.raises(GraphError, match="outside 2 to 8"):
        ShiftCode(form="ps", bits=bits)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_number_are_refused(bad: float) -> None:
    with pytest.raises(ModelError, match="NaN or infinite"):
        ShiftCode(form="ps", bits=5).encode(np.array([0.5, bad]))


def linear_case(code: ShiftCode, seed: int, span: float = 2.0) -> list[NDArray[np.generic]]:
    rng = np.random.default_rng(seed)
    packed = pack(code.encode(weights()), code.width)
    x = (rng.standard_normal((2, 3, 37)) * span).astype(np.float32)
    return [x, packed, *(rng.standard_normal(9).astype(np.float32) for _ in range(2))]


@each_form
@pytest.mark.parametrize("activations", ["float", "fixed", "int32"])
@pytest.mark.parametrize("optional", ["none", "scale", "bias", "both"])
def test_linear_body_and_torch_agree_with_the_definition(code: ShiftCode, activations: str, optional: str) -> None:
    inputs: list = linear_case(code, 3)
    inputs[2] = inputs[2] if optional in ("scale", "both") else None
    inputs[3] = inputs[3] if optional in ("bias", "both") else None
    attributes: dict[str, AttributeValue] = {"form": code.form, "bits": code.bits, "activations": activations}
    wanted = LINEAR.reference(inputs, attributes)[0]
    torched = shift_linear(
        *(None if a is None else torch.from_numpy(a) for a in inputs), form=code.form, bits=5, activations=activations
    )
    body = run(LINEAR, inputs, attributes)
    limit = 0.0 if activations == "int32" and inputs[2] is None else 1e-5
    assert difference(wanted, torched.numpy()).max_abs_over_std <= limit
    assert difference(wanted, body).max_abs_over_std <= limit


@pytest.mark.parametrize("bits", list(BITS))
def test_every_width_unpacks_in_the_body(bits: int) -> None:
    for form in FORMS:
        code = ShiftCode(form=form, bits=bits)
        inputs = linear_case(code, bits)
        attributes: dict[str, AttributeValue] = {"form": form, "bits": bits, "activations": "float"}
        wanted = LINEAR.reference(inputs, attributes)[0]
        assert difference(wanted, run(LINEAR, inputs, attributes)).max_abs_over_std <= 1e-5


def as_integers(x: NDArray[np.float32]) -> NDArray[np.object_]:
    """floor(x·2^16), clamped to 16 integer bits, one Python integer after the other."""
    units = [int(np.clip(np.floor(float(v) * 2**16) / 2**16, -(2**15), 2**15 - 1) * 2**16) for v in x.ravel()]
    return np.array(units, dtype=object).reshape(x.shape)


def in_32_bits(total: NDArray[np.object_]) -> NDArray[np.int32]:
    return np.array([(int(v) + 2**31) % 2**32 - 2**31 for v in total.ravel()], np.int64).astype(np.int32)


def official_integers(x: NDArray[np.float32], w: NDArray[np.float64], bias: NDArray[np.float32]) -> NDArray[np.int32]:
    """The official integer kernel, one number after the other: sign · (x >> shift) in 32 bits that wrap around."""
    rows = as_integers(x).reshape(-1, x.shape[-1])
    out = np.zeros((len(rows), len(w)), dtype=object)
    for n, row in enumerate(w):
        for k, value in enumerate(row):
            if value:
                shift = -int(np.log2(abs(value)))
                out[:, n] += int(np.sign(value)) * np.array([v >> shift for v in rows[:, k]], dtype=object)
        out[:, n] += int(np.floor(float(bias[n]) * 2**16))
    return in_32_bits(out)


@pytest.mark.parametrize("span", [2.0, 3e4, 1e6])
def test_integers_are_the_official_kernels(span: float) -> None:
    """Negative values, values that saturate, and sums that wrap around."""
    code = ShiftCode(form="ps", bits=5)
    x, packed, _, bias = linear_case(code, 11, span)
    wanted = official_integers(x, code.decode(code.encode(weights())), bias).reshape(2, 3, 9)
    attributes: dict[str, AttributeValue] = {"form": "ps", "bits": 5, "activations": "int32"}
    for y in (
        LINEAR.reference([x, packed, None, bias], attributes)[0],
        run(LINEAR, [x, packed, None, bias], attributes),
        shift_linear(*map(torch.from_numpy, (x, packed)), None, torch.from_numpy(bias), activations="int32").numpy(),
    ):
        assert np.array_equal(y.astype(np.float32), wanted.astype(np.float32) / 2**16)


@pytest.mark.parametrize("activations", ["float", "fixed", "int32"])
def test_a_body_takes_any_number_of_tokens(activations: str) -> None:
    """One session whose batch and tokens are open, at three sizes."""
    inputs = linear_case(ShiftCode(form="ps", bits=5), 3)
    attributes: dict[str, AttributeValue] = {"activations": activations}
    opened = session(model_of(LINEAR, inputs, attributes, dynamic={"x": (0, 1)}))
    for batch, tokens in ((2, 3), (1, 7), (3, 1)):
        x = np.random.default_rng(tokens).standard_normal((batch, tokens, 37)).astype(np.float32)
        given = [x, *inputs[1:]]
        wanted = LINEAR.reference(given, LINEAR.attribute_values(attributes))[0]
        assert difference(wanted, opened.run(None, feeds(LINEAR, given))[0]).max_abs_over_std <= 1e-5


def test_dense_equals_shift_on_floored_inputs_and_is_near_on_others() -> None:
    code = ShiftCode(form="ps", bits=5)
    x, packed, _, bias = linear_case(code, 5)
    w = code.decode(code.encode(weights()))
    fixed: dict[str, AttributeValue] = {"form": "ps", "bits": 5, "activations": "fixed"}
    y = run(LINEAR, [x, packed, None, bias], fixed)
    floor = lambda a: np.floor(a.astype(np.float64) * 2**16) / 2**16  # noqa: E731
    dense = torch.nn.functional.linear(*(torch.from_numpy(a.astype(np.float32)) for a in (floor(x), w, floor(bias))))
    assert np.abs(dense.numpy() - y).max() <= 1e-6
    bound = x.shape[-1] * 2.0**-16 * np.abs(w).max() + 2.0**-16
    away = np.abs(x.astype(np.float64) @ w.T + bias - y).max()
    assert 2.0**-16 < away <= bound


@each_form
@pytest.mark.parametrize("activations", ["float", "fixed", "int32"])
@pytest.mark.parametrize("optional", ["none", "scale", "bias", "both"])
def test_conv_body_and_torch_agree_with_the_definition(code: ShiftCode, activations: str, optional: str) -> None:
    inputs, attributes = CONV.example(np.random.default_rng(2))
    inputs = [
        inputs[0],
        pack(code.encode(weights(4, 18)), code.width),
        inputs[2] if optional in ("scale", "both") else None,
        inputs[3] if optional in ("bias", "both") else None,
    ]
    attributes |= {"form": code.form, "bits": 5, "activations": activations}
    wanted = CONV.reference(inputs, attributes)[0]
    torched = shift_conv(*(None if a is None else torch.from_numpy(a) for a in inputs), **attributes)
    limit = 0.0 if activations == "int32" and inputs[2] is None else 1e-5
    assert difference(wanted, torched.numpy()).max_abs_over_std <= limit
    assert difference(wanted, run(CONV, inputs, attributes)).max_abs_over_std <= limit


def official_maps(
    x: NDArray[np.float32], w: NDArray[np.float64], bias: NDArray[np.float32], at: dict[str, AttributeValue]
) -> NDArray[np.int32]:
    """The integer convolution, one output and one tap after the other, on Python integers."""
    (sh, sw), (dh, dw), (top, left, bottom, right) = at["strides"], at["dilations"], at["pads"]
    maps = np.pad(as_integers(x), ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=0)
    outputs, per_group, kh, kw = w.shape
    rows = (maps.shape[2] - dh * (kh - 1) - 1) // sh + 1
    columns = (maps.shape[3] - dw * (kw - 1) - 1) // sw + 1
    out = np.zeros((len(x), outputs, rows, columns), dtype=object)
    for n, m, i, j in np.ndindex(out.shape):
        first = m // (outputs // at["group"]) * per_group
        for c, k, q in zip(*np.nonzero(w[m]), strict=True):
            value = w[m, c, k, q]
            seen = maps[n, first + c, i * sh + k * dh, j * sw + q * dw]
            out[n, m, i, j] += int(np.sign(value)) * (seen >> -int(np.log2(abs(value))))
        out[n, m, i, j] += int(np.floor(float(bias[m]) * 2**16))
    return in_32_bits(out)


GEOMETRIES = {
    "example": {},
    "pointwise": {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1},
    "depthwise": {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 6},
    "strided": {"kernel_shape": (3, 2), "strides": (3, 2), "pads": (2, 0, 1, 1), "dilations": (2, 3), "group": 1},
}


@pytest.mark.parametrize("form", ["ps", "q"])
@pytest.mark.parametrize("span", [2.0, 3e4, 1e6])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_integer_maps_are_the_official_kernels(form: str, span: float, geometry: str) -> None:
    """Negative values, values that saturate, and sums that wrap around, in every geometry of a convolution."""
    code, rng = ShiftCode(form=form, bits=5), np.random.default_rng(21)
    example, attributes = CONV.example(rng)
    attributes |= {"form": form, "activations": "int32", **GEOMETRIES[geometry]}
    (kh, kw), per_group = attributes["kernel_shape"], 6 // attributes["group"]
    w = code.encode(weights(12, per_group * kh * kw))
    x, bias = (rng.standard_normal(example[0].shape) * span).astype(np.float32), weights(1, 12)[0].astype(np.float32)
    wanted = official_maps(x, code.decode(w).reshape(12, per_group, kh, kw), bias, attributes)
    inputs = [x, pack(w, code.width), None, bias]
    free = {"x": (0, 2, 3)}
    for y in (
        CONV.reference(inputs, attributes)[0],
        run(CONV, inputs, attributes),
        session(model_of(CONV, inputs, attributes, dynamic=free)).run(None, feeds(CONV, inputs))[0],
        shift_conv(*(None if a is None else torch.from_numpy(a) for a in inputs), **attributes).numpy(),
    ):
        assert np.array_equal(y.astype(np.float32).ravel(), wanted.astype(np.float32) / 2**16)


def test_gradients_are_those_of_the_dense_layer() -> None:
    for operator, op in ((LINEAR, shift_linear), (CONV, shift_conv)):
        inputs, attributes = operator.example(np.random.default_rng(4))
        given = [torch.from_numpy(a) for a in inputs]
        given = [t.double().requires_grad_() if t.is_floating_point() else t for t in given]
        assert torch.autograd.gradcheck(
            lambda x, s, b, op=op, given=given, attributes=attributes: op(x, given[1], s, b, **attributes),
            (given[0], given[2], given[3]),
        )


def test_packed_weights_of_another_width_are_refused() -> None:
    x, packed = torch.zeros(2, 16), torch.zeros(4, 11, dtype=torch.uint8)
    with pytest.raises(GraphError, match=r"give uint8 \[N, 10\]"):
        shift_linear(x, packed)
