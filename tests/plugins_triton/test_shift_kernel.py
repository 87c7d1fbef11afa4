"""The Triton kernel of packed shift weights, under the interpreter and compiled, against the operator's reference."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgevision.ops.bit_packing import pack
from edgevision.ops.fixed_point import ONE, to_integer
from edgevision.ops.shift_code import FORMS, ShiftCode
from edgevision.ops.shift_linear import OPERATOR
from edgevision.proof import difference

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")

Array = NDArray[np.generic]
#: Rows, inputs, outputs: less than a block, and ends of blocks that are not ends of tensors.
SIZES = {2: (3, 5, 2), 5: (18, 45, 17), 8: (1, 70, 20)}
CASES = {
    f"{form}-{bits}-{activations}": (ShiftCode(form=form, bits=bits), activations)
    for form in FORMS
    for bits in SIZES
    for activations in ("float", "int32")
}


def operands(name: str) -> tuple[NDArray[np.float32], Array]:
    code, _ = CASES[name]
    rows, K, N = SIZES[code.bits]
    rng = np.random.default_rng(code.bits)
    w = rng.standard_normal((N, K)) * 2.0 ** -rng.integers(0, 9, (N, K))
    w[0, 0] = 0.0
    x = (rng.standard_normal((rows, K)) * 2.0 ** rng.integers(-9, 14, (rows, K))).astype(np.float32)
    return x, pack(code.encode(w), code.width)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Array]:
    folder = tmp_path_factory.mktemp("shift")
    for name, (code, activations) in CASES.items():
        x, packed = operands(name)
        given = to_integer(x).astype(np.int32) if activations == "int32" else x
        terms = np.stack([code.terms.sign, code.terms.first, code.terms.second]).astype(np.int32)
        np.savez(folder / f"{name}.npz", x=given, packed=packed, terms=terms, width=code.width)
    script = str(Path(__file__).with_name("interpret_shift.py"))
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, script, str(folder)], env=environment, check=True, timeout=600)
    return {name: np.load(folder / f"{name}.out.npy") for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_is_the_reference(name: str, outputs: dict[str, Array]) -> None:
    code, activations = CASES[name]
    x, packed = operands(name)
    attributes = {"form": code.form, "bits": code.bits, "activations": activations}
    wanted = OPERATOR.reference([x, packed], OPERATOR.attribute_values(attributes))[0]
    if activations == "int32":
        assert np.array_equal(outputs[name] / ONE, wanted)
    else:
        assert difference(wanted, outputs[name]).max_abs_over_std <= 1e-5


@pytest.mark.parametrize("integer", [False, True])
def test_it_compiles_for_a_gpu(integer: bool) -> None:
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from edgevision.plugins.triton.shift_linear import shift_linear

    data = "*i32" if integer else "*fp32"
    signature = {"x": data, "packed": "*u8", "terms": "*i32", "y": data}
    signature |= dict.fromkeys(("rows", "inputs", "outputs", "row_bytes"), "i32")
    constants = {
        "WIDTH": 5, "TWO_TERMS": False, "INTEGER": integer, "BLOCK_ROWS": 16, "BLOCK_OUTPUTS": 16, "BLOCK_INPUTS": 32,
    }  # fmt: skip
    signature |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(fn=shift_linear, signature=signature, constexprs=constants)
    made = triton.compile(source, target=GPUTarget("cuda", 80, 32))
    assert "shr.s32" in made.asm["ptx"] if integer else "fma" in made.asm["ptx"] or "mma" in made.asm["ptx"]
