"""Runs saved nodes through the kernels: `python run_nodes.py FOLDER`, in a process of its own.

The instruction set is chosen once per process, by EDGEVISION_SIMD. FOLDER holds <case>.onnx beside <case>.npz (the
inputs by name); each gets <case>.out.npy. Prints the instruction set that ran.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from kernel_node import session

from edgevision import native

for path in sorted(Path(sys.argv[1]).glob("*.onnx")):
    with np.load(path.with_suffix(".npz")) as inputs:
        given = dict(inputs)
    np.save(path.with_suffix(".out.npy"), session(path.read_bytes(), threads=2).run(None, given)[0])
sys.stdout.write(f"{native.simd()}\n")
