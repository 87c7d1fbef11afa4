"""EvShiftLinear and EvShiftConv in MIL, through their bodies, against the operators' own float64 references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coreml_parity import evaluated, node_model

from edgevision.ops.operator import operators
from edgevision.passes.attach_bodies import attach_bodies
from edgevision.proof import difference


@pytest.mark.parametrize("op", ["EvShiftLinear", "EvShiftConv"])
@pytest.mark.parametrize("activations", ["float", "fixed"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_codes_are_unpacked_while_converting(op: str, activations: str, precision: str, tmp_path: Path) -> None:
    """In fp16 too: the 2^16 of fixed-point activations, which fp16 has not, stays in fp32."""
    operator = operators()[op]
    inputs, attributes = operator.example(np.random.default_rng(2))
    attributes |= {"activations": activations}
    model = node_model(op, inputs, (1, 2, 3), attributes)
    attach_bodies(model)
    (result,) = evaluated(model, {"x": inputs[0]}, tmp_path, precision=precision)
    (wanted,) = operator.reference(inputs, attributes)
    assert difference(wanted, result).max_abs_over_std < (1e-5 if precision == "fp32" else 1e-2)
