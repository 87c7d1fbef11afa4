"""The shift kernel on a GPU: right in both arithmetics, and what it takes beside dense float's product."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from edgevision.ops.bit_packing import pack
from edgevision.ops.fixed_point import ONE, to_integer
from edgevision.ops.shift_code import ShiftCode
from edgevision.ops.shift_linear import OPERATOR
from edgevision.proof import difference

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU"),
    pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed"),
]
PS = ShiftCode(form="ps", bits=5)
#: Tokens, inputs, outputs: of PVT v2-B0, and its classifier for one image.
SHAPES = ((196, 160, 640), (49, 1024, 256), (1, 256, 1000))


def launch(x: torch.Tensor, packed: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
    """One call of the kernel."""
    from edgevision.plugins.triton.shift_linear import shift_linear

    y = torch.empty((len(x), len(packed)), dtype=x.dtype, device=x.device)
    programs = -(-len(x) // 16) * -(-len(packed) // 16)
    shift_linear[(programs,)](
        x, packed, terms, len(x), x.shape[1], len(packed), packed.shape[1], y,
        WIDTH=5, TWO_TERMS=False, INTEGER=x.dtype == torch.int32, BLOCK_ROWS=16, BLOCK_OUTPUTS=16, BLOCK_INPUTS=32,
    )  # fmt: skip
    return y


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("activations", ["float", "int32"])
def test_the_shift_kernel_is_the_reference(shape: tuple[int, int, int], activations: str) -> None:
    rows, K, N = shape
    rng = np.random.default_rng(0)
    x, packed = rng.standard_normal((rows, K)).astype(np.float32), pack(PS.encode(rng.standard_normal((N, K)) / 9), 5)
    wanted = OPERATOR.reference([x, packed], OPERATOR.attribute_values({"activations": activations}))[0]
    given = to_integer(x).astype(np.int32) if activations == "int32" else x
    terms = np.stack([PS.terms.sign, PS.terms.first, PS.terms.second]).astype(np.int32)
    got = launch(*(torch.from_numpy(a).cuda() for a in (given, packed, terms))).cpu().numpy()
    if activations == "int32":
        assert np.array_equal(got / ONE, wanted)
    else:
        assert difference(wanted, got).max_abs_over_std <= 1e-5
