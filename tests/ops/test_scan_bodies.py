"""Every body of the scan, run without kernels, against the float64 reference."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from scan_cases import VARIANTS, Inputs, Variant, inputs_of, reference, sequential, tolerance
from single_node import feeds, model_of, run, session

from edgevision.errors import GraphError
from edgevision.ops.selective_scan import OPERATOR
from edgevision.passes.inline_bodies import count_nodes, inline_bodies
from edgevision.proof import difference

SIZES = list(product((1, 7, 49, 196, 1024), (1, 16)))
#: Channels of a group, states and length of each scan of MobileMamba T2 (the first three) and S6.
MOBILEMAMBA = ((448, 1, 144), (768, 1, 36), (896, 1, 9), (640, 1, 196), (1088, 1, 49), (1088, 1, 16))
FORMS = tuple(name for name in OPERATOR.bodies if name != "canonical")
LENGTH_BOUND = ("two_level", "log_depth", "radix8")


@cache
def case(variant: Variant, N: int, L: int, channels: int = 5, Bt: int = 2) -> tuple[Inputs, np.ndarray, float]:
    inputs = inputs_of(variant, channels=channels, N=N, L=L, Bt=Bt)
    wanted = reference(inputs, variant.attributes)
    return inputs, wanted, tolerance(inputs, variant.attributes, wanted)


def variants_at(index: int) -> tuple[Variant, Variant]:
    """Two variants per size, so that all sizes together take every variant three times."""
    return VARIANTS[2 * index % len(VARIANTS)], VARIANTS[(2 * index + 1) % len(VARIANTS)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("index", "L", "N"), [(i, L, N) for i, (L, N) in enumerate(SIZES)])
def test_a_body_computes_the_operator(form: str, index: int, L: int, N: int) -> None:
    for variant in variants_at(index):
        inputs, wanted, allowed = case(variant, N, L)
        got = run(OPERATOR, inputs, variant.attributes, form)
        assert difference(wanted, got).max_abs_over_std <= allowed, variant


@pytest.mark.parametrize(("index", "L", "N"), [(i, L, N) for i, (L, N) in enumerate(SIZES) if L > 1])
def test_the_comparison_notices_a_missing_recurrence(index: int, L: int, N: int) -> None:
    for variant in variants_at(index):
        inputs, wanted, allowed = case(variant, N, L)
        crippled = sequential(inputs, variant.attributes, recur=False)
        assert difference(wanted, crippled).max_abs_over_std >= 10 * allowed, variant


def test_the_comparison_notices_a_direction() -> None:
    variant = VARIANTS[1]
    inputs, wanted, allowed = case(variant, 1, 49)
    forward = sequential(inputs, {**variant.attributes, "reverse": (0, 0)})
    assert difference(wanted, forward).max_abs_over_std >= 10 * allowed


@pytest.mark.parametrize(("D", "N", "L"), MOBILEMAMBA)
def test_the_portable_body_at_the_shapes_of_mobilemamba(D: int, N: int, L: int) -> None:
    inputs, wanted, allowed = case(VARIANTS[0], N, L, channels=D, Bt=1)
    got = run(OPERATOR, inputs, VARIANTS[0].attributes)
    assert difference(wanted, got).max_abs_over_std <= allowed


@pytest.mark.parametrize("given", list(product((False, True), repeat=4)))
def test_every_combination_of_optional_inputs(given: tuple[bool, bool, bool, bool]) -> None:
    softplus, D, bias, z = given
    variant = Variant(K=2, shared=True, reverse=(0, 1), softplus=softplus, D=D, bias=bias, z=z)
    inputs, wanted, allowed = case(variant, 1, 12, channels=3)
    for form in ("canonical", "log_depth"):
        assert difference(wanted, run(OPERATOR, inputs, variant.attributes, form)).max_abs_over_std <= allowed


@pytest.mark.parametrize("N", [1, 4])
def test_one_function_serves_every_batch_and_length(N: int) -> None:
    variant = VARIANTS[1]
    names = ("u", "delta", "B", "C")
    free = {name: (0, 3 if name in "BC" else 2) for name in names}
    built = model_of(OPERATOR, inputs_of(variant, channels=5, N=N, L=7), variant.attributes, dynamic=free)
    runner = session(built)
    for Bt, L in ((1, 1), (3, 7), (2, 65)):
        inputs, wanted, allowed = case(variant, N, L, Bt=Bt)
        got = runner.run(None, feeds(OPERATOR, inputs))[0]
        assert difference(wanted, got).max_abs_over_std <= allowed


@pytest.mark.parametrize("form", LENGTH_BOUND)
def test_a_body_written_for_one_length_refuses_a_dynamic_one(form: str) -> None:
    inputs = inputs_of(VARIANTS[0], channels=4, N=1, L=16)
    with pytest.raises(GraphError, match="static length"):
        model_of(OPERATOR, inputs, VARIANTS[0].attributes, form, dynamic={"delta": (2,)})


@pytest.mark.parametrize(
    ("N", "L", "form"),
    [
        (1, 9, "serial"),
        (1, 36, "whole"),
        (1, 144, "two_level"),
        (1, 197, "whole"),
        (1, 1024, "two_level"),
        (16, 196, "serial"),
        (16, 3136, "serial"),
    ],
)
def test_the_portable_body_is_the_one_that_measured_best(N: int, L: int, form: str) -> None:
    inputs = inputs_of(VARIANTS[0], channels=8, N=N, L=L)
    (function,) = model_of(OPERATOR, inputs, VARIANTS[0].attributes).functions.values()
    assert function.overload.startswith(form + "_")


def test_bodies_do_not_grow_with_the_length() -> None:
    for form in ("serial", "whole", "two_level"):
        counts = {
            count_nodes(model_of(OPERATOR, inputs_of(VARIANTS[1], channels=2, N=1, L=L), VARIANTS[1].attributes, form))
            for L in (64, 4096)
        }
        assert len(counts) == 1
    for form, most in (("log_depth", 220), ("radix8", 420)):
        long = model_of(OPERATOR, inputs_of(VARIANTS[1], channels=2, N=1, L=4096), VARIANTS[1].attributes, form)
        assert count_nodes(long) <= most


@pytest.mark.parametrize("form", ["log_depth", "radix8"])
def test_bodies_for_tensorrt_and_coreml_have_no_loop(form: str) -> None:
    model = model_of(OPERATOR, inputs_of(VARIANTS[1], channels=2, N=2, L=20), VARIANTS[1].attributes, form)
    inline_bodies(model)
    assert not {node.op_type for node in model.graph.all_nodes()} & {"Scan", "Loop", "If"}


def test_no_body_turns_a_tensor_round() -> None:
    """Groups that scan from the end cost a direction, not a flip: no Slice steps backwards, nothing is gathered."""
    for form in FORMS:
        model = model_of(OPERATOR, inputs_of(VARIANTS[1], channels=2, N=2, L=20), VARIANTS[1].attributes, form)
        inline_bodies(model)
        nodes = list(model.graph.all_nodes())
        assert not {node.op_type for node in nodes} & {"Gather", "GatherElements", "ReverseSequence"}
        assert all(len(node.inputs) < 5 for node in nodes if node.op_type == "Slice")


def test_bodies_are_valid_onnx() -> None:
    for form in OPERATOR.bodies:
        model = model_of(OPERATOR, inputs_of(VARIANTS[1], channels=2, N=2, L=20), VARIANTS[1].attributes, form)
        onnx.checker.check_model(ir.to_proto(model), full_check=True)


def test_overloads_tell_bodies_apart_and_nothing_else() -> None:
    """Equal signatures give one function; a different body never takes the name of another."""
    seen: dict[str, str] = {}
    for form, variant, L in product(FORMS, VARIANTS, (20, 21)):
        inputs = inputs_of(variant, channels=2, N=2, L=L)
        for _ in range(2):
            (function,) = model_of(OPERATOR, inputs, variant.attributes, form).functions.values()
            text = ir.to_proto(function).SerializeToString(deterministic=True).hex()
            assert seen.setdefault(function.overload, text) == text
