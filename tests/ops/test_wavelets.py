"""DWT and IDWT against PyWavelets: reference, torch operator and body, every mode, filter length and parity."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import pywt
import torch
from numpy.typing import NDArray
from single_node import feeds, model_of, run, session

from edgevision.errors import GraphError
from edgevision.ops.dwt import OPERATOR as DWT
from edgevision.ops.dwt import dwt
from edgevision.ops.idwt import OPERATOR as IDWT
from edgevision.ops.idwt import idwt
from edgevision.proof import difference

Array = NDArray[np.float64]
MODES = ("zero", "periodization")
WAVELETS = ("haar", "db2", "db4")
SIZES = ((8, 8), (7, 9), (12, 5), (1, 1), (2, 3))
ALL = list(product(WAVELETS, MODES, SIZES, (False, True)))


def filters(wavelet: str, synthesis: bool, channels: int) -> Array:
    """[4 channels, 1, k, k] in PyWavelets' order: approximation, horizontal, vertical, diagonal details."""
    w = pywt.Wavelet(wavelet)
    low, high = (w.rec_lo, w.rec_hi) if synthesis else (w.dec_lo[::-1], w.dec_hi[::-1])
    pairs = ((low, low), (high, low), (low, high), (high, high))
    four = np.stack([np.outer(rows, columns) for rows, columns in pairs])[:, None]
    return np.tile(four, (channels, 1, 1, 1))


def image(size: tuple[int, int]) -> Array:
    return np.random.default_rng(0).standard_normal((2, 3, *size))


def pywt_dwt(x: Array, wavelet: str, mode: str) -> Array:
    approximation, details = pywt.dwt2(x, wavelet, mode=mode)
    return np.stack([approximation, *details], axis=2)


def pywt_idwt(y: Array, wavelet: str, mode: str) -> Array:
    return np.asarray(pywt.idwt2((y[:, :, 0], tuple(y[:, :, i] for i in (1, 2, 3))), wavelet, mode=mode))


@pytest.mark.parametrize(("wavelet", "mode", "size", "shared"), ALL)
def test_every_form_is_pywavelets(wavelet: str, mode: str, size: tuple[int, int], shared: bool) -> None:
    x, bank = image(size), 1 if shared else 3
    taps, back = filters(wavelet, False, bank), filters(wavelet, True, bank)
    y = pywt_dwt(x, wavelet, mode)
    full = pywt_idwt(y, wavelet, mode)
    attributes = {"mode": mode}
    for wanted, operator, inputs, function in ((y, DWT, (x, taps), dwt), (full, IDWT, (y, back), idwt)):
        assert difference(wanted, operator.reference(inputs, attributes)[0]).max_abs_over_std <= 1e-12
        torched = function(*(torch.from_numpy(t) for t in inputs), mode=mode)
        assert difference(wanted, torched.numpy()).max_abs_over_std <= 1e-12
        single = [t.astype(np.float32) for t in inputs]
        assert difference(wanted, run(operator, single, attributes)).max_abs_over_std <= 1e-5


@pytest.mark.parametrize(("wavelet", "mode", "size", "shared"), ALL)
def test_the_image_comes_back(wavelet: str, mode: str, size: tuple[int, int], shared: bool) -> None:
    x, bank = torch.from_numpy(image(size)), 1 if shared else 3
    taps, back = (torch.from_numpy(filters(wavelet, synthesis, bank)) for synthesis in (False, True))
    y = dwt(x, taps, mode=mode)
    full = idwt(y, back, mode=mode)
    crop = (full.shape[2] - size[0], full.shape[3] - size[1])
    assert max(crop) <= 1
    again = idwt(y, back, mode=mode, crop=crop)
    assert difference(x.numpy(), again.numpy()).max_abs_over_std <= 1e-10
    exact = run(IDWT, [y.float().numpy(), back.float().numpy()], {"mode": mode, "crop": crop})
    assert difference(x.numpy(), exact).max_abs_over_std <= 1e-5


@pytest.mark.parametrize("mode", MODES)
def test_any_filters_will_do_and_each_channel_has_its_own(mode: str) -> None:
    rng = np.random.default_rng(1)
    taps = rng.standard_normal((12, 1, 4, 4)).astype(np.float32)
    x, y = (rng.standard_normal(size).astype(np.float32) for size in ((2, 3, 9, 6), (2, 3, 4, 6, 5)))
    for operator, data in ((DWT, x), (IDWT, y)):
        wanted = operator.reference([data, taps], {"mode": mode})[0]
        assert difference(wanted, run(operator, [data, taps], {"mode": mode})).max_abs_over_std <= 1e-5
        first_for_all = run(operator, [data, np.tile(taps[:4], (3, 1, 1, 1))], {"mode": mode})
        assert difference(wanted, first_for_all).max_abs_over_std >= 1e-2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wavelet", ["haar", "db4"])
def test_one_body_serves_every_size(wavelet: str, mode: str) -> None:
    taps, back = (filters(wavelet, synthesis, 1).astype(np.float32) for synthesis in (False, True))
    forward = session(model_of(DWT, [image((8, 8)), taps], {"mode": mode}, dynamic={"x": (0, 2, 3)}))
    inverse = session(model_of(IDWT, [np.zeros((1, 3, 4, 4, 4)), back], {"mode": mode}, dynamic={"x": (0, 3, 4)}))
    for size in SIZES:
        x = image(size).astype(np.float32)
        y = forward.run(None, feeds(DWT, [x, taps]))[0]
        assert difference(pywt_dwt(x, wavelet, mode), y).max_abs_over_std <= 1e-5
        again = inverse.run(None, feeds(IDWT, [y, back]))[0]
        assert difference(x, again[:, :, : size[0], : size[1]]).max_abs_over_std <= 1e-5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bank", [1, 2])
def test_gradients_in_float64(bank: int, mode: str) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(1, 2, 5, 4, dtype=torch.float64), torch.randn(1, 2, 4, 4, 5, dtype=torch.float64)
    taps = torch.randn(4 * bank, 1, 4, 4, dtype=torch.float64)
    given = [t.requires_grad_() for t in (x, y, taps)]
    assert torch.autograd.gradcheck(lambda a, f: dwt(a, f, mode=mode), (given[0], given[2]), fast_mode=True)
    inverse = torch.autograd.gradcheck(
        lambda a, f: idwt(a, f, mode=mode, crop=(1, 0)), (given[1], given[2]), fast_mode=True
    )
    assert inverse


def test_the_operators_are_good_citizens_of_torch() -> None:
    x, y, taps = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 4, 3, 2), torch.randn(4, 1, 2, 2, requires_grad=True)
    torch.library.opcheck(torch.ops.edgevision.dwt.default, (x, taps), {"mode": "periodization"})
    torch.library.opcheck(torch.ops.edgevision.idwt.default, (y, taps), {"mode": "zero", "crop": [1, 0]})


def test_the_bodies_are_valid_onnx_of_few_nodes() -> None:
    for operator, x in ((DWT, image((7, 9))), (IDWT, np.zeros((1, 3, 4, 4, 5)))):
        model = model_of(operator, [x, filters("haar", False, 3)], {})
        onnx.checker.check_model(ir.to_proto(model), full_check=True)
        (body,) = model.functions.values()
        assert sorted(n.op_type for n in body if n.op_type != "Constant")[0].startswith("Conv")
        assert sum(n.op_type != "Constant" for n in body) == 2


@pytest.mark.parametrize(
    ("x", "taps", "mode", "reason"),
    [
        ((1, 3, 8, 8), (12, 1, 2, 2), "symmetric", "mode 'symmetric'"),
        ((1, 3, 8, 8), (8, 1, 2, 2), "zero", "filters have shape"),
        ((1, 3, 8, 8), (12, 1, 3, 3), "zero", "filters have shape"),
        ((3, 8, 8), (12, 1, 2, 2), "zero", "dims"),
    ],
)
def test_what_is_not_defined_is_refused(x: tuple[int, ...], taps: tuple[int, ...], mode: str, reason: str) -> None:
    with pytest.raises(GraphError, match=reason):
        dwt(torch.zeros(x), torch.zeros(taps), mode=mode)
    with pytest.raises(GraphError, match=reason):
        model_of(DWT, [np.zeros(x, np.float32), np.zeros(taps, np.float32)], {"mode": mode})


def test_a_wrong_crop_is_refused() -> None:
    with pytest.raises(GraphError, match="crop"):
        idwt(torch.zeros(1, 1, 4, 2, 2), torch.zeros(4, 1, 2, 2), crop=(-1, 0))
    with pytest.raises(GraphError, match="sub-bands"):
        idwt(torch.zeros(1, 1, 3, 2, 2), torch.zeros(4, 1, 2, 2))
