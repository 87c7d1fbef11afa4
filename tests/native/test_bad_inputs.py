"""What the kernels refuse, with the message a user sees, and what they must not refuse."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from kernel_node import INPUTS, feeds, model, run, session
from small_inputs import (
    Array,
    conv_inputs,
    floats,
    fused_inputs,
    inputs_of,
    lookup_inputs,
    refusal,
    scan_inputs,
    shift_inputs,
)

from edgevision.ops.operator import AttributeValue

pytestmark = pytest.mark.usefixtures("registered")


@pytest.mark.parametrize("index", range(8))
def test_a_scan_input_of_the_wrong_shape_is_named(index: int) -> None:
    inputs = scan_inputs()
    name = INPUTS["EvSelectiveScan"][index]
    longer = [*inputs]
    longer[index] = np.concatenate([inputs[index]] * 2, axis=-1)
    # A and delta set the sizes that the others are held to, so the complaint may be about one of those.
    expected = {"A": ("'B'", "'A'"), "delta": ("'B'", "'delta'")}.get(name, (f"'{name}'",))
    assert any(part in refusal("EvSelectiveScan", longer) for part in expected)
    flat = [*inputs]
    flat[index] = inputs[index][None]
    message = refusal("EvSelectiveScan", flat)
    assert f"'{name}' has rank {inputs[index].ndim + 1}" in message
    assert "must be [" in message


def test_groups_and_directions_must_fit() -> None:
    inputs = scan_inputs(K=2, Dg=3)
    five = [t[:, :5] if t.ndim == 3 else t[:5] if t.shape[0] == 6 else t for t in inputs]
    assert "has 2 groups, which do not divide the 5 rows" in refusal("EvSelectiveScan", five)
    assert "has 3 flags for 2 groups" in refusal("EvSelectiveScan", inputs, reverse=(0, 1, 0))
    assert "may only hold 0 and 1" in refusal("EvSelectiveScan", inputs, reverse=(0, 2))


def test_wavelets_say_what_does_not_fit() -> None:
    x, y, taps = floats(1, 3, 4, 4), floats(1, 3, 4, 2, 2), floats(4, 1, 2, 2)
    assert "'x' has rank 3" in refusal("EvDWT", [x[0], taps])
    assert "'filters' has shape [8, 1, 2, 2]" in refusal("EvDWT", [x, floats(8, 1, 2, 2)])
    assert "3 taps; their number must be even" in refusal("EvDWT", [x, floats(4, 1, 3, 3)])
    assert "'mode' is 'symmetric'; it must be" in refusal("EvDWT", [x, taps], mode="symmetric")
    assert "'x' has an empty image" in refusal("EvDWT", [floats(1, 3, 0, 4), taps])
    assert "has 3 bands" in refusal("EvIDWT", [y[:, :, :3], taps])
    assert "nothing would be left" in refusal("EvIDWT", [y, floats(4, 1, 6, 6)])
    assert "'crop' has 3 values" in refusal("EvIDWT", [y, taps], crop=(0, 0, 0))
    assert "'crop' may not be negative" in refusal("EvIDWT", [y, taps], crop=(-1, 0))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32])
@pytest.mark.parametrize("op", INPUTS)
def test_only_float32_is_taken(op: str, dtype: type[np.generic]) -> None:
    inputs = inputs_of(op)
    with pytest.raises(Exception, match=rf"Type Error: Type 'tensor\(.*' of input parameter .* of operator \({op}\)"):
        run(op, [t.astype(dtype) for t in inputs], {})


@pytest.mark.parametrize("empty", ["Bt", "Dg", "L"])
def test_a_scan_over_nothing_is_nothing(empty: str) -> None:
    inputs = scan_inputs(**{empty: 0})
    assert run("EvSelectiveScan", inputs, {"delta_softplus": 1}).shape == inputs[1].shape


def test_a_scan_without_states_is_its_skip_connection() -> None:
    inputs = scan_inputs(N=0)[:6]
    np.testing.assert_allclose(run("EvSelectiveScan", inputs, {}), inputs[5][:, None] * inputs[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_reach_the_output(bad: float) -> None:
    """From the step they enter on, in their channel only."""
    inputs = scan_inputs(K=1, Dg=40, N=1, L=70)
    clean = run("EvSelectiveScan", inputs, {"delta_softplus": 1})
    inputs[0][0, 17, 33] = bad
    y = run("EvSelectiveScan", inputs, {"delta_softplus": 1})
    assert not np.isfinite(y[0, 17, 33:]).any()
    clean[0, 17, 33:] = y[0, 17, 33:]
    np.testing.assert_array_equal(y, clean)
    x = floats(1, 1, 6, 6)
    x[0, 0, 2, 3] = bad
    touched = ~np.isfinite(run("EvDWT", [x, floats(4, 1, 2, 2)], {})[0, 0])
    assert touched[:, 1, 1].all()
    assert touched.sum() == 4


@pytest.mark.parametrize("reverse", [0, 1])
def test_an_infinite_step_starts_at_the_first_step(reverse: int) -> None:
    """Its state is infinite there, and NaN only from the second on: what pads a block has no part in it."""
    inputs = scan_inputs(K=1, Dg=17, N=1, L=5)
    inputs[6][3] = np.inf
    y = run("EvSelectiveScan", inputs, {"delta_softplus": 1, "reverse": (reverse,)})[0]
    assert np.isinf(y[3, -1 if reverse else 0])
    assert np.isfinite(np.delete(y, 3, 0)).all()


def test_an_optional_input_may_be_left_out_in_the_middle() -> None:
    inputs = scan_inputs()
    without = run("EvSelectiveScan", [*inputs[:5], None, None, inputs[7]], {})
    zeros = [*inputs[:5], np.zeros_like(inputs[5]), np.zeros_like(inputs[6]), inputs[7]]
    np.testing.assert_array_equal(without, run("EvSelectiveScan", zeros, {}))


def large_inputs(op: str) -> list[Array]:
    """Enough work for `op` to be split over threads."""
    if op == "EvSelectiveScan":
        return scan_inputs(K=2, Dg=96, N=4, L=200)
    if op == "EvShiftLinear":
        return shift_inputs(196, 256, 256)
    if op == "EvShiftConv":
        return conv_inputs(128, 96, 20)
    if op == "EvLookup":
        return lookup_inputs(1 << 19)
    if op == "EvIntegerResponseNorm":
        return [lookup_inputs(3136 * 160)[0].reshape(1, 56, 56, 160), floats(256), floats(160)]
    if op == "EvIntegerNorm":
        return [lookup_inputs(6400 * 48)[0].reshape(6400, 48), 30 * floats(48), floats(48)]
    C, K, R, pixels = 96, 2, 5, 40
    maps, bands = (1, C, pixels, pixels), (4 * C, 1, 2, 2)
    sizes: dict[str, Sequence[tuple[int, ...]]] = {
        "EvDWT": (maps, bands),
        "EvIDWT": ((1, C, 4, pixels, pixels), bands),
        "EvChannelNorm": ((1, K * C, pixels * pixels), (C,), (C,), maps),
        "EvDepthwiseConv": (maps, (C, 1, 9, 9), (C,)),
        "EvProjectedScan": (maps, (K * (R + 2), C), (K * C, R), (K * C, 1), (K * C,), (K * C,)),
        "EvResponseNorm": (maps, (C,)),
        "EvWaveletConv": ((1, C, 20, 20), bands, bands, (4 * C, 1, 7, 7), (4 * C,), (1, C, 20, 20)),
    }
    inputs = [floats(*size) for size in sizes[op]]
    if op == "EvProjectedScan":
        inputs[1], inputs[3] = inputs[1] / np.float32(C), -np.abs(inputs[3])
    return inputs


@pytest.mark.parametrize("op", INPUTS)
def test_concurrent_sessions_do_not_meet(op: str) -> None:
    """Four sessions with two threads each, and one session called from four threads."""
    inputs = large_inputs(op)
    attributes: dict[str, AttributeValue] = {"reverse": (0, 1)} if op.endswith("Scan") else {}
    if op == "EvSelectiveScan":
        attributes["delta_softplus"] = 1
    serialized, given = model(op, inputs, attributes), feeds(op, inputs)
    wanted = session(serialized).run(None, given)[0]
    assert np.isfinite(wanted).all()
    sessions = [session(serialized, threads=2) for _ in range(4)]

    def same(opened: onnxruntime.InferenceSession) -> bool:
        return all(np.array_equal(opened.run(None, given)[0], wanted) for _ in range(5))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(same, sessions))
        assert all(pool.map(same, [sessions[0]] * 4))


@pytest.mark.parametrize("op", INPUTS)
def test_buffers_may_lie_at_any_address(op: str) -> None:
    """Each input four bytes after a boundary of 64, where ONNX Runtime would put none."""
    inputs = inputs_of(op)
    moved = []
    for array in inputs:
        block = np.zeros(array.nbytes + 128, np.uint8)
        start = -block.ctypes.data % 64 + 4
        moved.append(block[start : start + array.nbytes].view(array.dtype).reshape(array.shape))
        moved[-1][...] = array
        assert moved[-1].ctypes.data % 64 == 4
    np.testing.assert_array_equal(run(op, moved, {}), run(op, inputs, {}))


@pytest.mark.parametrize("op", INPUTS)
def test_every_input_of_another_rank_is_refused(op: str) -> None:
    for index, name in enumerate(INPUTS[op]):
        inputs = inputs_of(op)
        if index >= len(inputs):
            continue
        inputs[index] = inputs[index].reshape(-1)[None]
        if inputs[index].ndim != inputs_of(op)[index].ndim:
            assert "has " in refusal(op, inputs), name


def test_an_unknown_instruction_set_is_said(registered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice is made once a process, so here only the package's own check can be seen."""
    from edgevision import native

    monkeypatch.setattr(native, "simd", lambda: None)
    monkeypatch.setenv("EDGEVISION_SIMD", "mmx")
    missing = native.why_not()
    assert missing is not None
    assert "EDGEVISION_SIMD is 'mmx'" in missing.reason


FUSED = [
    (op, index)
    for op in ("EvChannelNorm", "EvDepthwiseConv", "EvProjectedScan", "EvResponseNorm", "EvWaveletConv")
    for index in range(len(INPUTS[op]))
]


@pytest.mark.parametrize(("op", "index"), FUSED)
def test_a_fused_input_that_does_not_fit_is_refused(op: str, index: int) -> None:
    """A tensor one channel or one row longer than the others say; the message names a tensor and both shapes."""
    inputs = fused_inputs(op)
    assert np.isfinite(run(op, inputs, {})).all()
    axis = 1 if inputs[index].shape[0] == 1 else 0
    inputs[index] = np.concatenate([inputs[index], inputs[index].take([0], axis)], axis)
    message = refusal(op, inputs)
    assert "has " in message
    assert any(f"'{name}'" in message for name in INPUTS[op])


def test_what_the_fused_kernels_cannot_hold_is_refused() -> None:
    inputs = fused_inputs("EvWaveletConv")
    assert "must be odd and at most 7" in refusal("EvWaveletConv", [*inputs[:3], floats(12, 1, 9, 9)])
    wide = [floats(1, 3, 4, 80), *inputs[1:4]]
    assert "too large for this kernel" in refusal("EvWaveletConv", wide)
    steep = [floats(1, 3, 4, 4), floats(131, 3), floats(3, 129), floats(3, 1), floats(3), floats(3)]
    assert "may be at most 128" in refusal("EvProjectedScan", steep)
    assert "too large for this kernel" in refusal(
        "EvDepthwiseConv", [floats(1, 3, 4, 4), floats(3, 1, 33, 32)], pads=(16,) * 4
    )


@pytest.mark.parametrize("op", [op for op in INPUTS if op != "EvSelectiveScan"])
def test_an_empty_batch_gives_an_empty_result(op: str) -> None:
    inputs = inputs_of(op)
    empty = [t[:0] if t.shape[0] == 1 else t for t in inputs]
    assert run(op, empty, {}).shape[0] == 0


def test_maps_without_pixels() -> None:
    """A norm and a scan of no pixels are empty; a wavelet of none does not exist."""
    norm, scan, conv = (fused_inputs(op) for op in ("EvChannelNorm", "EvProjectedScan", "EvWaveletConv"))
    assert run("EvChannelNorm", [norm[0][:, :, :0], *norm[1:3], norm[3][:, :, :0]], {}).size == 0
    assert run("EvProjectedScan", [scan[0][:, :, :0], *scan[1:]], {}).size == 0
    assert run("EvResponseNorm", [floats(2, 3, 0, 4), floats(3)], {"gelu": 1}).size == 0
    assert "has an empty image" in refusal("EvWaveletConv", [conv[0][:, :, :0], *conv[1:]])


@pytest.mark.parametrize("reverse", [(0, 0), (0, 1)])
def test_a_projected_scan_of_one_step_has_no_direction(reverse: tuple[int, int]) -> None:
    inputs = fused_inputs("EvProjectedScan")
    inputs[0] = inputs[0][:, :, :1, :1]
    got = run("EvProjectedScan", inputs, {"reverse": reverse})
    np.testing.assert_array_equal(got, run("EvProjectedScan", inputs, {"reverse": (1, 0)}))
