"""What a device can do at most: operations a second in a matrix product per precision, and bytes a second in a copy.

The product is ONNX Runtime's own (MatMul, MatMulInteger of u8 with s8), with as many threads as the profile has: a model
is compared with the best the same runtime does on the same cores, not with a data sheet. The fastest of many runs
counts, since a peak is what is possible. A precision that the runtime has no product for is None.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import TargetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["COPY_MIB", "PRECISIONS", "SIDE", "Peaks", "gemm_feed", "gemm_model", "local_peaks"]

#: Side of the square matrices: three of float32 are 6.75 MiB, past the first caches and short of memory.
SIDE = 768
GEMM_OPS = 2 * SIDE**3
#: Larger than the caches of what we measure.
COPY_MIB = 128
PRECISIONS = ("fp32", "fp16", "int8")
#: Seconds given to each of the measurements.
SECONDS = 0.4


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """Peaks of a device.

    Attributes:
        gemm_gops: precision -> 1e9 operations a second (two to a multiply-accumulate), None where there is no product.
        copy_gb_s: 1e9 bytes a second, those read and those written counted.
        threads: that ran.
    """

    gemm_gops: Mapping[str, float | None]
    copy_gb_s: float
    threads: int

    def ops_per_ms(self, precision: str) -> float:
        """The peak of a precision; that of fp32 where it has none of its own."""
        return (self.gemm_gops.get(precision) or self.gemm_gops["fp32"] or 0.0) * 1e6

    @property
    def bytes_per_ms(self) -> float:
        """The peak of a copy."""
        return self.copy_gb_s * 1e6

    def document(self) -> dict[str, Any]:
        """As the profile has it; `waterline` is in operations a byte."""
        lines = {p: None if g is None else g / self.copy_gb_s for p, g in self.gemm_gops.items()}
        return {
            "gemm_gops": dict(self.gemm_gops),
            "copy_gb_s": self.copy_gb_s,
            "threads": self.threads,
            "waterline_ops_per_byte": lines,
        }


def gemm_model(path: Path, precision: str) -> None:
    """Write a model of one matrix product of SIDE; `b` is a constant, as weights are."""
    import numpy as np
    from onnx import helper, numpy_helper, save

    rng = np.random.default_rng(0)
    op, kind = ("MatMulInteger", np.int8) if precision == "int8" else ("MatMul", _KINDS[precision])
    b = rng.integers(-127, 127, (SIDE, SIDE)).astype(kind)
    source = helper.np_dtype_to_tensor_dtype(gemm_feed(precision).dtype)
    result = helper.np_dtype_to_tensor_dtype(np.dtype(np.int32 if precision == "int8" else kind))
    graph = helper.make_graph(
        [helper.make_node(op, ["a", "b"], ["y"])],
        "gemm",
        [helper.make_tensor_value_info("a", source, [SIDE, SIDE])],
        [helper.make_tensor_value_info("y", result, [SIDE, SIDE])],
        [numpy_helper.from_array(b, "b")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


_KINDS = {"fp32": "float32", "fp16": "float16"}


def gemm_feed(precision: str) -> NDArray[np.generic]:
    """The left matrix."""
    import numpy as np

    a = np.random.default_rng(1).integers(0, 127, (SIDE, SIDE))
    return a.astype(np.uint8 if precision == "int8" else _KINDS[precision])


def local_peaks(threads: int) -> Peaks:
    """Measure this machine; 0 threads is the runtime's choice, for which the copy uses one a physical core."""
    import psutil

    copying = threads or psutil.cpu_count(logical=False) or 1
    gops = {precision: _gemm(precision, threads) for precision in PRECISIONS}
    return Peaks(gemm_gops=gops, copy_gb_s=_copy(copying), threads=copying)


def _gemm(precision: str, threads: int) -> float | None:
    from edgevision.targets.onnxruntime import OnnxRuntime

    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        path = Path(folder) / "gemm.onnx"
        gemm_model(path, precision)
        feed = {"a": gemm_feed(precision)}
        try:
            with OnnxRuntime(plugins=False, threads=threads).load(path) as runner:
                return GEMM_OPS / _fastest(lambda: runner(feed)) / 1e9
        except TargetError:
            return None


def _copy(threads: int) -> float:
    import numpy as np

    source = np.ones(COPY_MIB * 2**20 // 8)
    target = np.zeros_like(source)
    parts = [slice(i * len(source) // threads, (i + 1) * len(source) // threads) for i in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        seconds = _fastest(lambda: list(pool.map(lambda part: np.copyto(target[part], source[part]), parts)))
    return 2 * source.nbytes / seconds / 1e9


def _fastest(run: Any) -> float:
    """Seconds of the fastest of as many runs as fit."""
    run()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best
