"""What the kernels of packed power-of-two weights take and refuse, and how they pass what is no number."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_node import feeds, model, run, session
from small_inputs import conv_inputs, floats, refusal, shift_inputs

from edgevision.ops.operator import AttributeValue

pytestmark = pytest.mark.usefixtures("registered")


def test_shift_layers_say_what_does_not_fit() -> None:
    op, inputs = "EvShiftLinear", shift_inputs(2, 11, 5)
    assert "'packed' has shape [5, 10]; it must be" in refusal(op, inputs, bits=6)
    assert "'scale' has shape [4]" in refusal(op, [*inputs[:2], floats(4), inputs[3]])
    assert "'bias' has shape [6]" in refusal(op, [*inputs[:3], floats(6)])
    assert "'form' is 'sp2'; it must be" in refusal(op, inputs, form="sp2")
    assert "'bits' is 9; it must be 2 to 8" in refusal(op, inputs, bits=9)
    assert "'activations' is 'int8'; it must be" in refusal(op, inputs, activations="int8")
    for index, shape in ((0, (0, 3, 11)), (1, (0, 10))):
        empty = [*inputs]
        empty[index] = np.zeros(shape, inputs[index].dtype)
        if index == 1:
            empty[2:] = [floats(0), floats(0)]
        assert run(op, empty, {}).size == 0


def test_shift_convolutions_say_what_does_not_fit() -> None:
    op, inputs = "EvShiftConv", conv_inputs(12, 6, 5)
    three: dict[str, tuple[int, ...]] = {"kernel_shape": (3, 3)}
    assert "'packed' has shape [6, 10]; it must be" in refusal(op, inputs, **three)
    assert "'scale' has shape [4]" in refusal(op, [*inputs[:2], floats(4), inputs[3]])
    assert "'bias' has shape [7]" in refusal(op, [*inputs[:3], floats(7)])
    assert "which does not divide the 12 channels" in refusal(op, inputs, group=5)
    assert "'group' is 0; it must be from 1 up" in refusal(op, inputs, group=0)
    assert "smaller than the kernel" in refusal(op, [floats(1, 12, 2, 5), *inputs[1:]], **three)
    assert "'strides' has 0 in it" in refusal(op, inputs, strides=(0, 1))
    assert "'dilations' has 0 in it" in refusal(op, inputs, dilations=(1, 0))
    assert "'pads' has -1 in it" in refusal(op, inputs, pads=(0, 0, -1, 0))
    assert "'kernel_shape' has 1 values" in refusal(op, inputs, kernel_shape=(1,))
    assert "'form' is 'sp2'; it must be" in refusal(op, inputs, form="sp2")
    assert "'activations' is 'int8'; it must be" in refusal(op, inputs, activations="int8")
    assert run(op, [inputs[0][:0], *inputs[1:]], {}).shape == (0, 6, 5, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_pass_a_shift_convolution(bad: float) -> None:
    """Where the kernel lies over them, and nowhere else."""
    rng = np.random.default_rng(0)
    inputs = [floats(1, 4, 6, 6), rng.integers(0, 256, (5, 25)).astype(np.uint8)]  # type: ignore[list-item]
    given: dict[str, AttributeValue] = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
    clean = run("EvShiftConv", inputs, given)
    inputs[0][0, 1, 2, 5] = bad
    y = run("EvShiftConv", inputs, given)
    near = np.zeros((6, 6), bool)
    near[1:4, 4:6] = True
    assert not np.isfinite(y[0][:, near]).any()
    np.testing.assert_array_equal(y[0][:, ~near], clean[0][:, ~near])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_pass_a_shift_layer(bad: float) -> None:
    """In their own row, and as a product with the weight would."""
    inputs = shift_inputs(2, 40, 5)
    clean = run("EvShiftLinear", inputs, {})
    inputs[0][0, 1, 7] = bad
    y = run("EvShiftLinear", inputs, {})
    assert not np.isfinite(y[0, 1]).any()
    clean[0, 1] = y[0, 1]
    np.testing.assert_array_equal(y, clean)


@pytest.mark.parametrize("activations", ["float", "fixed", "int32"])
def test_one_session_takes_any_number_of_tokens(activations: str) -> None:
    """And any size of a map: each token and each image as it is alone."""
    given: dict[str, AttributeValue] = {"activations": activations}
    for op, inputs, axis in (("EvShiftLinear", shift_inputs(7, 11, 5), 1), ("EvShiftConv", conv_inputs(11, 5, 7), 2)):
        opened = session(model(op, inputs, given))
        whole = opened.run(None, feeds(op, inputs))[0]
        for count in (3, 1):
            some = [inputs[0].take(range(count), axis), *inputs[1:]]
            assert np.array_equal(opened.run(None, feeds(op, some))[0], whole.take(range(count), axis))
