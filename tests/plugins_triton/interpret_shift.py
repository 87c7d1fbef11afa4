"""Runs the shift kernel under Triton's interpreter in this process, which must have TRITON_INTERPRET=1 from its start.

python interpret_shift.py FOLDER      reads FOLDER/*.npz (x, packed, terms, width), writes FOLDER/*.out.npy
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from edgevision.plugins.triton.shift_linear import shift_linear

BLOCK = 16


def main(folder: Path) -> None:
    """Every case of the folder."""
    for file in sorted(folder.glob("*.npz")):
        case = np.load(file, allow_pickle=False)
        x, packed, terms = (torch.from_numpy(case[name]) for name in ("x", "packed", "terms"))
        y = torch.full((len(x), len(packed)), 77, dtype=x.dtype)
        programs = -(-len(x) // BLOCK) * -(-len(packed) // BLOCK)
        shift_linear[(programs,)](
            x, packed, terms, len(x), x.shape[1], len(packed), packed.shape[1], y,
            WIDTH=int(case["width"]), TWO_TERMS=bool((case["terms"][2] >= 0).any()), INTEGER=x.dtype == torch.int32,
            BLOCK_ROWS=BLOCK, BLOCK_OUTPUTS=BLOCK, BLOCK_INPUTS=2 * BLOCK,
        )  # fmt: skip
        np.save(file.with_suffix(".out.npy"), y.numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
