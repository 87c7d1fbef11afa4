"""Layers of a graph into shift operators: what they mean, what is left alone, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from shift_nets import answers, network

from edgevision.errors import GraphError, ModelError, UsageError
from edgevision.ops.bit_packing import unpack
from edgevision.ops.shift_code import ShiftCode
from edgevision.proof import difference
from edgevision.shiftadd.candidates import candidates
from edgevision.shiftadd.choose import selected
from edgevision.shiftadd.convert import convert
from edgevision.shiftadd.encode import encode_layer
from edgevision.shiftadd.energy import ADD, MULTIPLY, SHIFT, energy_of
from edgevision.targets.onnxruntime.lowering import lower

PS = ShiftCode(form="ps", bits=5)
LAYERS = ["depthwise", "conv", "linear", "head"]


def test_layers_with_constant_weights_are_candidates() -> None:
    found, declined = candidates(network())
    assert [c.name for c in found] == LAYERS
    assert [c.weight.shape for c in found] == [(3, 9), (8, 27), (6, 8), (4, 96)]
    assert [c.bias is not None for c in found] == [False, True, True, True]
    assert [c.macs for c in found] == [3 * 64 * 9, 8 * 16 * 27, 16 * 6 * 8, 4 * 96]
    assert declined == dict.fromkeys(["attention", "attended"], "both its operands are computed")


@pytest.mark.parametrize("form", ["ps", "q", "q_nonzero", "apot"])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activations", ["float", "fixed"])
def test_packed_folded_and_rounded_by_hand_agree(
    form: str, per_channel: bool, activations: str, tmp_path: Path
) -> None:
    code = ShiftCode(form=form, bits=5)
    packed, folded, by_hand = network(), network(), network()
    rows = convert(packed, code, LAYERS, per_channel=per_channel, activations=activations)
    convert(folded, code, LAYERS, per_channel=per_channel, activations=activations, fold=True)
    assert [row.name for row in rows] == LAYERS
    assert not any(n.domain for n in folded.graph)
    assert sum(n.op_type in ("EvShiftLinear", "EvShiftConv") for n in packed.graph) == 4
    assert not any(n.op_type in ("Gemm", "Conv", "Add") for n in packed.graph)
    for candidate in candidates(by_hand)[0]:
        dense = encode_layer(candidate.name, candidate.weight, code, per_channel=per_channel).dense
        weight = candidate.node.inputs[1]
        turned = dense.T if candidate.node.op_type == "MatMul" else dense
        shape = weight.shape.numpy()
        weight.const_value = ir.tensor(turned.reshape(shape).astype(np.float32), name=weight.name)
    wanted, dense = answers(by_hand, tmp_path), answers(network(), tmp_path)
    assert difference(answers(folded, tmp_path), answers(packed, tmp_path)).max_abs_over_std <= 1e-5
    assert difference(wanted, answers(packed, tmp_path)).max_abs_over_std <= (1e-5 if activations == "float" else 5e-3)
    assert difference(dense, wanted).max_abs_over_std > 1e-2, "without conversion nothing would be seen"


def test_onnx_runtime_is_given_dense_weights_but_for_integer_layers(tmp_path: Path) -> None:
    """Packed codes cost time there; they stay in the file, and the integer kernel keeps its layers."""
    packed, integer = network(), network()
    convert(packed, PS, LAYERS)
    convert(integer, PS, ["linear", "head"], activations="int32")
    wanted = answers(packed, tmp_path)
    assert lower(packed, kernels=True)["unpack_shifts"] == 4
    assert not any(n.domain for n in packed.graph)
    assert sum(v.dtype == ir.DataType.UINT8 for v in packed.graph.initializers.values()) == 4
    assert difference(wanted, answers(packed, tmp_path)).max_abs_over_std <= 1e-5
    assert "unpack_shifts" not in lower(integer, kernels=True)


def test_written_weights_are_powers_of_two(tmp_path: Path) -> None:
    model = network()
    convert(model, PS, LAYERS)
    for node in [n for n in model.graph if n.domain]:
        packed = node.inputs[1].const_value.numpy()
        codes = unpack(packed, 5, packed.shape[1] // 5 * 8)
        assert np.isin(np.frexp(np.abs(PS.decode(codes)))[0], (0.0, 0.5)).all()
    ir.save(model, tmp_path / "packed.onnx")
    folded = network()
    convert(folded, PS, LAYERS, fold=True)
    ir.save(folded, tmp_path / "folded.onnx")
    again = ir.load(tmp_path / "packed.onnx")
    assert np.array_equal(answers(again, tmp_path), answers(model, tmp_path))


def test_only_the_named_layers_change() -> None:
    model = network()
    (row,) = convert(model, PS, ["linear"])
    assert (row.name, row.weights, row.bytes_before, row.bytes_after) == ("linear", 48, 192, 30)
    assert [n.op_type for n in model.graph if n.domain] == ["EvShiftLinear"]


def test_converting_twice_changes_nothing_more(tmp_path: Path) -> None:
    once, twice = network(), network()
    convert(once, PS, LAYERS, fold=True)
    convert(twice, PS, LAYERS, fold=True)
    rows = convert(twice, PS, [c.name for c in candidates(twice)[0]])
    assert max(row.error for row in rows) == 0.0
    assert difference(answers(once, tmp_path), answers(twice, tmp_path)).max_abs_over_std <= 1e-5


def test_a_scale_per_channel_helps() -> None:
    weight = np.random.default_rng(0).standard_normal((8, 50)) * np.linspace(0.01, 30, 8)[:, None]
    plain = encode_layer("x", weight, PS, per_channel=False)
    scaled = encode_layer("x", weight, PS, per_channel=True)
    assert plain.clamped > 0
    assert scaled.clamped == 0
    assert scaled.error < 0.2 < plain.error
    apot = ShiftCode(form="apot", bits=5)
    assert encode_layer("x", weight, apot, per_channel=True).error < scaled.error / 2


def test_a_huge_range_and_zeros_are_counted() -> None:
    weight = np.array([[1e6, 1e-20, 0.0, 0.5, -0.25, 3e38, -1e-40, 0.0]])
    ps = encode_layer("x", weight, PS, per_channel=False)
    assert (ps.clamped, ps.raised, ps.zeros) == (2, 2, 0)
    assert np.isfinite(ps.dense).all()
    banned = encode_layer("x", weight, ShiftCode(form="q_nonzero", bits=5), per_channel=True)
    assert banned.zeros == 2
    assert (banned.dense != 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_number_name_their_layer(bad: float) -> None:
    with pytest.raises(ModelError, match="layer linear: its weights have NaN"):
        convert(network(spoil=bad), PS, LAYERS)


def test_nothing_but_zeros_needs_a_zero() -> None:
    with pytest.raises(ModelError, match="this form has no 0"):
        encode_layer("x", np.zeros((2, 3)), ShiftCode(form="q_nonzero", bits=5), per_channel=True)
    assert encode_layer("x", np.zeros((2, 3)), PS, per_channel=True).error == 0.0


def test_patterns_select_and_a_pattern_without_a_match_is_refused() -> None:
    model = network()
    assert [c.name for c in selected(model, ["Conv"])] == ["depthwise", "conv"]
    assert [c.name for c in selected(model, ["l*", "head"])] == ["linear", "head"]
    with pytest.raises(UsageError, match="--select nowhere: it matches no layer"):
        selected(model, ["Conv", "nowhere"])


def test_a_graph_without_layers_is_refused() -> None:
    model = network()
    for candidate in candidates(model)[0]:
        candidate.node.replace_input_with(1, model.graph.inputs[0])  # computed, as far as anyone can tell
    with pytest.raises(GraphError, match="no linear layer or 2-d convolution with constant weights"):
        selected(model, [])


def test_energy_is_that_of_the_published_constants() -> None:
    rows = convert(network(), PS, ["linear"])
    energy = energy_of(rows, PS)
    assert energy is not None
    macs = 16 * 6 * 8
    assert energy.dense == pytest.approx(macs * (MULTIPLY + ADD) * 1e-6)
    assert energy.shifted == pytest.approx(macs * (SHIFT + ADD) * 1e-6)
    assert energy.shifted_dram == pytest.approx(30 * 8 / 16 * 200e-6)
    assert (MULTIPLY, ADD, SHIFT) == (3.7, 0.9, 0.13)
    # 16 tokens of 8 numbers in, of 6 out; 48 weights of 5 bits (30 bytes); sums of 32 bits.
    moved = energy.shifted_moved
    assert moved is not None
    assert moved.registers == pytest.approx(macs * (5 / 16 * 7.4 + (32 + 2 * 32) / 16 * 3.7) * 1e-6)
    assert moved.network == pytest.approx(((240 + 32 * 128) / 16 * 7.4 + 32 * 96 / 16 * 3.7) * 1e-6)
    assert moved.buffer == pytest.approx(32 * (128 + 96) / 16 * 22.2e-6)
    assert moved.dram == pytest.approx((240 + 32 * (128 + 96)) / 16 * 200e-6)
    assert energy.dense_moved is not None
    assert energy.int8_moved is not None
    assert energy.int8_moved.total < moved.total < energy.dense_moved.total
    open_layer = [replace(rows[0], inputs=None)]
    unknown = energy_of(open_layer, PS)
    assert unknown is not None
    assert unknown.shifted_moved is None
