"""Inputs for every kernel, with the float64 references of their operators."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np
import pywt
from numpy.typing import NDArray
from scan_cases import VARIANTS, Inputs, inputs_of, reference, tolerance

from edgevision.ops.bit_packing import pack
from edgevision.ops.channel_norm import OPERATOR as NORM
from edgevision.ops.depthwise_conv import OPERATOR as DEPTHWISE
from edgevision.ops.dwt import OPERATOR as DWT
from edgevision.ops.idwt import OPERATOR as IDWT
from edgevision.ops.integer_norm import OPERATOR as INTEGER_NORM
from edgevision.ops.integer_response_norm import OPERATOR as INTEGER_RESPONSE
from edgevision.ops.lookup import OPERATOR as LOOKUP
from edgevision.ops.operator import AttributeValue, Operator
from edgevision.ops.projected_scan import OPERATOR as PROJECTED
from edgevision.ops.response_norm import OPERATOR as RESPONSE
from edgevision.ops.shift_code import BITS, FORMS, ShiftCode
from edgevision.ops.shift_conv import OPERATOR as SHIFT_CONV
from edgevision.ops.shift_linear import OPERATOR as SHIFT
from edgevision.ops.wavelet_conv import OPERATOR as WAVELET_CONV

# Channels of a group, states, length, batch: lone and partial vectors, partial tiles, several tiles, many states.
SCANS = ((1, 1, 1, 1), (17, 1, 9, 2), (40, 1, 144, 1), (21, 3, 37, 2), (33, 16, 65, 1), (8, 70, 20, 1), (5, 129, 3, 1))
WAVELETS = ("haar", "db2", "db3", "sym4")
SIZES = ((1, 1), (2, 3), (7, 9), (12, 12), (40, 37), (66, 70))


@dataclass(frozen=True, kw_only=True)
class Case:
    op: str
    inputs: Inputs
    attributes: dict[str, AttributeValue]
    wanted: NDArray[np.float64]
    tolerance: float


def _scans() -> dict[str, Case]:
    found = {}
    for v, (channels, N, L, Bt) in product(VARIANTS, SCANS):
        inputs = inputs_of(v, channels=channels, N=N, L=L, Bt=Bt, seed=L)
        wanted = reference(inputs, v.attributes)
        found[f"scan-{VARIANTS.index(v)}-{v.kind}-{channels}-{N}-{L}"] = Case(
            op="EvSelectiveScan",
            inputs=inputs,
            attributes=v.attributes,
            wanted=wanted,
            tolerance=tolerance(inputs, v.attributes, wanted),
        )
    return found


def _filters(wavelet: str, synthesis: bool, channels: int) -> NDArray[np.float32]:
    w = pywt.Wavelet(wavelet)
    low, high = (w.rec_lo, w.rec_hi) if synthesis else (w.dec_lo[::-1], w.dec_hi[::-1])
    four = np.stack([np.outer(r, c) for r, c in ((low, low), (high, low), (low, high), (high, high))])[:, None]
    return np.tile(four, (channels, 1, 1, 1)).astype(np.float32)


def _wavelets() -> dict[str, Case]:
    found = {}
    rng = np.random.default_rng(3)
    for wavelet, mode, size, bank in product(WAVELETS, ("zero", "periodization"), SIZES, (1, 3)):
        x = rng.standard_normal((2, 3, *size)).astype(np.float32)
        attributes: dict[str, AttributeValue] = {"mode": mode}
        forward = [x, _filters(wavelet, False, bank)]
        y = DWT.reference(forward, attributes)[0]
        backward = [y.astype(np.float32), _filters(wavelet, True, bank)]
        crop: dict[str, AttributeValue] = {**attributes, "crop": (size[0] % 2, size[1] % 2)}
        name = f"{wavelet}-{mode}-{size[0]}-{size[1]}-{bank}"
        for op, operator, inputs, given in (("EvDWT", DWT, forward, attributes), ("EvIDWT", IDWT, backward, crop)):
            wanted = np.asarray(operator.reference(inputs, operator.attribute_values(given))[0], np.float64)
            found[f"{op}-{name}"] = Case(op=op, inputs=[*inputs], attributes=given, wanted=wanted, tolerance=1e-5)
    return found


def _fused() -> dict[str, Case]:
    """The operators that passes make: lone, partial and several vectors of channels and of pixels."""
    rng = np.random.default_rng(5)

    def random(*sizes: tuple[int, ...]) -> list[NDArray[np.float32]]:
        return [rng.standard_normal(size).astype(np.float32) for size in sizes]

    found = {}
    for Bt, C, H, W in ((1, 1, 1, 1), (2, 17, 3, 3), (1, 40, 12, 12), (2, 70, 7, 5), (1, 33, 16, 17)):
        for K, gated in product((1, 3), (False, True)):
            inputs: Inputs = [*random((Bt, K * C, H * W), (C,), (C,)), *(random((Bt, C, H, W)) if gated else [])]
            given: dict[str, AttributeValue] = {"epsilon": 1e-3}
            found[f"norm-{C}-{H}-{K}-{gated}"] = _case(NORM, inputs, given)
        found[f"norm-{C}-rows"] = _case(NORM, random((130, C, 1), (C,), (C,)), {"epsilon": 1e-3})
        for gelu in (0, 1):
            given = {"epsilon": 1e-6, "gelu": gelu}
            found[f"response-{C}-{H}-{gelu}"] = _case(RESPONSE, random((Bt, C, H, W), (C,)), given)
        for R, reverse in ((1, (1,)), (7, (0, 1)), (20, (1, 0, 1))):
            K = len(reverse)
            inputs = random((Bt, C, H, W), (K * (R + 2), C), (K * C, R), (K * C, 1), (K * C,), (K * C,))
            inputs[1], inputs[2], inputs[3] = inputs[1] * C**-0.5, inputs[2] * R**-0.5, -np.exp(0.5 * inputs[3])
            given = {"reverse": reverse, "silu": K % 2}
            found[f"projected-{C}-{H}-{R}"] = _case(PROJECTED, inputs, given)
        for k, rest in ((1, 0), (3, 1), (5, 2), (7, 2)):
            sizes = ((Bt, C, H, W), (4 * C, 1, 2, 2), (4 * C, 1, 2, 2), (4 * C, 1, k, k), (4 * C,), (Bt, C, H, W))
            found[f"wavelet-conv-{C}-{H}-{k}"] = _case(WAVELET_CONV, random(*sizes)[: 4 + rest], {"relu": k % 3})
    return found


def _shifts() -> dict[str, Case]:
    """Every code; lone and odd rows and outputs, several chunks of inputs; integers are held to the last bit."""
    rng = np.random.default_rng(11)
    found = {}
    sizes = ((1, 1, 1), (3, 37, 5), (2, 530, 9), (7, 64, 16), (4, 1100, 3))
    for (form, bits), activations in product(product(FORMS, BITS), ("float", "fixed", "int32")):
        rows, K, N = sizes[bits % 5]
        code = ShiftCode(form=form, bits=bits)
        w = rng.standard_normal((N, K)) * 2.0 ** -rng.integers(0, 12, (N, K))
        w[0, 0] = 0.0
        x = (rng.standard_normal((rows, K)) * 2.0 ** rng.integers(-8, 12, (rows, K))).astype(np.float32)
        scale, bias = (rng.standard_normal(N).astype(np.float32) for _ in range(2))
        inputs: Inputs = [x, pack(code.encode(w), code.width), None if bits % 2 else scale, bias]
        given: dict[str, AttributeValue] = {"form": form, "bits": bits, "activations": activations}
        found[f"shift-{form}-{bits}-{activations}"] = _exact_if_integer(_case(SHIFT, inputs, given))
    return found


#: Of a convolution: shape of x, outputs, kernel, strides, pads, dilations, groups.
_CONVS = (
    ((1, 1, 1, 1), 1, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((2, 6, 7, 8), 4, (3, 2), (2, 1), (1, 0, 0, 1), (1, 2), 2),
    ((1, 20, 9, 11), 20, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 20),
    ((2, 40, 5, 5), 24, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((1, 3, 23, 19), 9, (7, 7), (4, 4), (3, 3, 3, 3), (1, 1), 1),
    ((1, 130, 33, 33), 3, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2), 1),  # rows in several parts
    ((1, 300, 20, 20), 300, (5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 300),  # groups in several parts
)


def _shift_convs() -> dict[str, Case]:
    """Every geometry in every form, at a number of bits of its own."""
    rng = np.random.default_rng(13)
    found = {}
    for (index, (shape, M, kernel, strides, pads, dilations, group)), form, activations in product(
        enumerate(_CONVS), FORMS, ("float", "fixed", "int32")
    ):
        if index > 4 and form != "ps":
            continue
        bits = 2 + (index + FORMS.index(form)) % 7
        code, taps = ShiftCode(form=form, bits=bits), shape[1] // group * kernel[0] * kernel[1]
        w = rng.standard_normal((M, taps)) * 2.0 ** -rng.integers(0, 12, (M, taps))
        x = (rng.standard_normal(shape) * 2.0 ** rng.integers(-8, 12, shape)).astype(np.float32)
        scale, bias = (rng.standard_normal(M).astype(np.float32) for _ in range(2))
        inputs: Inputs = [x, pack(code.encode(w), code.width), None if index % 2 else scale, bias]
        given: dict[str, AttributeValue] = {
            "form": form, "bits": bits, "activations": activations, "kernel_shape": kernel, "strides": strides,
            "pads": pads, "dilations": dilations, "group": group,
        }  # fmt: skip
        found[f"shift-conv-{index}-{form}-{activations}"] = _exact_if_integer(_case(SHIFT_CONV, inputs, given))
    return found


def _depthwise() -> dict[str, Case]:
    """Kernels larger than their maps, maps wider than a tile and maps of nothing but pads, with and without a bias."""
    rng = np.random.default_rng(17)
    found = {}
    for index, (shape, kernel, strides, pads, dilations) in enumerate(
        (
            ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
            ((2, 20, 14, 14), (13, 13), (1, 1), (6, 6, 6, 6), (1, 1)),
            ((1, 33, 7, 5), (13, 9), (1, 1), (6, 4, 6, 4), (1, 1)),
            ((1, 17, 9, 130), (3, 31), (2, 1), (1, 15, 0, 15), (1, 1)),
            ((1, 20, 19, 23), (7, 5), (1, 2), (9, 4, 9, 4), (3, 2)),
            ((1, 3, 70, 61), (31, 31), (1, 1), (15, 15, 15, 15), (1, 1)),
            ((2, 5, 0, 3), (3, 3), (1, 1), (3, 4, 1, 0), (1, 1)),
        )
    ):
        sizes = (shape, (shape[1], 1, *kernel), (shape[1],))
        inputs: Inputs = [rng.standard_normal(size).astype(np.float32) for size in sizes[: 2 + index % 2]]
        given: dict[str, AttributeValue] = {"strides": strides, "pads": pads, "dilations": dilations}
        found[f"depthwise-{index}"] = _case(DEPTHWISE, inputs, given)
    return found


def _lookups() -> dict[str, Case]:
    """Every byte, in shapes that fill no vector, one and many, and more than one item; to the last bit."""
    rng = np.random.default_rng(17)
    found = {}
    for kind, shape in product((np.uint8, np.int8), ((1,), (3, 5), (256,), (2, 7, 13, 5), (1, 40, 33, 17), (3, 16384))):
        x, table = (rng.integers(0, 256, size).astype(np.uint8).view(kind) for size in (shape, (256,)))
        x.reshape(-1)[:256] = rng.permutation(256).astype(np.uint8).view(kind)[: x.size]
        name = f"lookup-{x.dtype}-{'-'.join(map(str, shape))}"
        found[name] = replace(_case(LOOKUP, [x, table], {}), tolerance=0.0)  # type: ignore[list-item]
    return found


def _integer_norms() -> dict[str, Case]:
    """Channels that fill no vector, one and several; float32 may round another way what lies at a tie: one step."""
    rng = np.random.default_rng(19)
    found = {}
    for kind, shape in product((np.uint8, np.int8), ((1, 1), (5, 7), (3, 9, 16), (2, 11, 3, 48), (130, 77))):
        x = rng.integers(0, 256, shape).astype(np.uint8).view(kind)
        weight, bias = (
            rng.normal(middle, 30, shape[-1:]).astype(np.float32) for middle in (0, 128 if kind is np.uint8 else 0)
        )
        case = _case(INTEGER_NORM, [x, weight, bias], {"epsilon": 1e-2})  # type: ignore[list-item]
        found[f"integer-norm-{x.dtype}-{shape[-1]}"] = _within_a_step(case)
    for kind, shape in product(
        (np.uint8, np.int8), ((1, 1, 1, 1), (2, 3, 3, 17), (1, 12, 13, 40), (2, 7, 5, 70), (1, 9, 9, 160))
    ):
        x = rng.integers(0, 256, shape).astype(np.uint8).view(kind)
        table, gamma = (rng.standard_normal(size).astype(np.float32) for size in (256, shape[-1]))
        given: dict[str, AttributeValue] = {
            "epsilon": 1e-6,
            "scale": 0.05,
            "zero_point": 120 if kind is np.uint8 else 3,
        }
        case = _case(INTEGER_RESPONSE, [x, table, gamma], given)  # type: ignore[list-item]
        found[f"integer-response-{x.dtype}-{shape[-1]}"] = _within_a_step(case)
    return found


def _within_a_step(case: Case) -> Case:
    return replace(case, tolerance=1.001 / (float(case.wanted.std()) or 1.0))


def _exact_if_integer(case: Case) -> Case:
    if case.attributes["activations"] != "int32" or case.inputs[2] is not None:
        return case
    return replace(case, wanted=case.wanted.astype(np.float32).astype(np.float64), tolerance=0.0)


def _case(operator: Operator, inputs: Inputs, attributes: dict[str, AttributeValue]) -> Case:
    wanted = np.asarray(operator.reference(inputs, operator.attribute_values(attributes))[0], np.float64)
    return Case(op=operator.name, inputs=inputs, attributes=attributes, wanted=wanted, tolerance=2e-5)


@cache
def cases() -> dict[str, Case]:
    some = (_scans(), _wavelets(), _fused(), _shifts(), _shift_convs(), _depthwise(), _lookups(), _integer_norms())
    return {name: case for group in some for name, case in group.items()}
