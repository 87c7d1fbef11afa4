"""The worker that runs the Triton kernels on the CPU, against the operators' float64 references.

Run as `python -m edgevision.targets.tensorrt.interpret request.json` with TRITON_INTERPRET=1 in the environment, which
Triton reads when it is imported. The kernel, its constants and its launch are those of the plugin; only the sizes that
no constant depends on (samples, channels) are cut.

Triton's interpreter evaluates an associative scan from left to right, one element at a time; a GPU evaluates it as a
tree. A combination that is not associative passes the first and fails the second, so the tree is what is run here.
"""

from __future__ import annotations

import sys
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgevision.errors import TargetError
from edgevision.proof import difference
from edgevision.targets.tensorrt.plugins.plugin import Call, plugins
from edgevision.targets.tensorrt.worker import Reporter, serve

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = ["interpret"]

BOUND = 1e-5
#: Rounding of a result to half precision, as a share of its magnitude.
HALF = 2.0**-11


def interpret(operator: str, call: Call, package: str) -> dict[str, float]:
    """Run one call; its distance from the reference and the bound it has to keep, both over the reference's std."""
    import numpy as np

    from edgevision.ops.operator import operators

    plugin = plugins()[operator]
    seed = zlib.crc32(f"{operator}{call}".encode())
    small = plugin.shrink(call.closed())
    inputs = [
        _stored(tensor, kind)
        for tensor, kind in zip(plugin.draw(small, np.random.default_rng(seed)), _types(small), strict=True)
    ]
    reference = operators()[operator].reference(inputs, call.attributes)[0]
    result = _run(operator, call, small, inputs, package)
    spread = float(np.asarray(reference, np.float64).std()) or 1.0
    if not np.isfinite(reference).all():
        raise TargetError(
            f"the proof of {operator}", "its reference is not finite: the inputs are not fit", "report it"
        )
    bound = max(BOUND, 2.0 * _plain_error(operator, small, inputs, reference))
    if call.types[0] == "fp16":
        bound += HALF * float(np.abs(reference).max()) / spread
    gap = difference(reference, result)
    return {"max_abs_over_std": gap.max_abs_over_std, "relative_l2": gap.relative_l2, "bound": bound}


def _types(call: Call) -> list[str | None]:
    return [kind if shape is not None else None for kind, shape in zip(call.types, call.shapes, strict=True)]


def _stored(tensor: NDArray[np.float32] | None, kind: str | None) -> Array | None:
    if tensor is None or kind is None:
        return None
    return tensor.astype("float16") if kind == "fp16" else tensor


def _run(operator: str, call: Call, small: Call, inputs: list[Array | None], package: str) -> Array:
    """The kernel, specialised for the real call and launched on the small one."""
    import torch

    torch.set_num_threads(1)
    _scan_as_a_tree()
    plugin = plugins()[operator]
    specialisation = plugin.specialise(call)
    launch = plugin.launch(small, specialisation.constants)
    kernel = getattr(import_module(f"{package}.{plugin.kernel}"), plugin.kernel)
    given = [torch.from_numpy(tensor) if tensor is not None else None for tensor in inputs]
    first = next(tensor for tensor in given if tensor is not None)
    shape = plugin.output([call_shape or () for call_shape in small.shapes], small.attributes)
    y = torch.full(shape, float("nan"), dtype=first.dtype)
    kernel[(launch.programs,)](*given, *launch.scalars, y, **specialisation.constants)
    result: Array = y.numpy()
    return result


def _scan_as_a_tree() -> None:
    """Make the interpreter's associative scan double its reach at each step (Hillis and Steele, 1986)."""
    import numpy as np
    from triton.runtime import interpreter

    def scan(self: Any, inputs: Any) -> list[Any]:
        arrays = [tensor.handle.data for tensor in inputs]
        reach, length = 1, arrays[0].shape[self.axis]
        place = np.arange(length).reshape([-1 if axis == self.axis else 1 for axis in range(arrays[0].ndim)])
        while reach < length:
            earlier = [np.roll(array, reach, self.axis) for array in arrays]
            operands = [
                self.to_tensor(array, tensor.dtype) for array, tensor in zip(earlier + arrays, inputs * 2, strict=True)
            ]
            joined = self.combine_fn.fn(*operands)
            parts = joined if isinstance(joined, tuple) else (joined,)
            arrays = [np.where(place >= reach, p.handle.data, a) for p, a in zip(parts, arrays, strict=True)]
            reach *= 2
        return [self.to_tensor(array, tensor.dtype) for array, tensor in zip(arrays, inputs, strict=True)]

    interpreter.ScanOps.generic_scan = scan


def _plain_error(operator: str, call: Call, inputs: list[Array | None], reference: Array) -> float:
    """Distance of a plain float32 loop from the reference; 0 for an operator that accumulates nothing."""
    plain = plugins()[operator].plain
    return difference(reference, plain(call, inputs)).max_abs_over_std if plain else 0.0


def _work(request: dict[str, Any], report: Reporter) -> dict[str, Any]:
    report.step("interpret kernels")
    results = []
    for done, case in enumerate(request["cases"], start=1):
        call = Call.from_json(case["call"])
        results.append(interpret(case["operator"], call, request["package"]))
        report.progress(case["operator"], done, len(request["cases"]))
    return {"results": results}


if __name__ == "__main__":
    sys.exit(serve(_work))
