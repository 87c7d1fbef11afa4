"""What the scan is timed against on a GPU: the plain PyTorch loop, the same compiled, and mamba_ssm's kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = ["RIVALS", "rivals"]

RIVALS: Final = ("torch", "torch.compile", "mamba_ssm")
#: torch.compile unrolls the loop: beyond this many steps it compiles for many minutes.
_LONGEST_COMPILED: Final = 256


def rivals(inputs: Sequence[Array | None]) -> Mapping[str, Callable[[], Any] | None]:
    """A call for each of `RIVALS` on the inputs u, delta, A, B, C, D, bias of one group; None for one that is not here."""
    import torch

    if not torch.cuda.is_available():
        return dict.fromkeys(RIVALS)
    given = [None if tensor is None else torch.from_numpy(tensor).cuda() for tensor in inputs[:7]]
    u, delta, A, B, C, D, bias = given
    assert u is not None
    compiled = partial(torch.compile(_plain), *given) if u.shape[2] <= _LONGEST_COMPILED else None
    fused = None
    if find_spec("mamba_ssm") is not None:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

        fused = partial(selective_scan_fn, u, delta, A, B, C, D, None, bias, True)
    return dict(zip(RIVALS, (partial(_plain, *given), compiled, fused), strict=True))


def _plain(u: Any, delta: Any, A: Any, B: Any, C: Any, D: Any, bias: Any) -> Any:
    import torch

    dt = torch.nn.functional.softplus(delta + bias[:, None])
    decay, drive = torch.exp(dt[..., None] * A[:, None]), (dt * u)[..., None] * B[:, 0].transpose(1, 2)[:, None]
    state, steps = torch.zeros_like(decay[:, :, 0]), []
    for t in range(u.shape[2]):
        state = decay[:, :, t] * state + drive[:, :, t]
        steps.append((state * C[:, 0, None, :, t]).sum(-1))
    return torch.stack(steps, 2) + D[:, None] * u
