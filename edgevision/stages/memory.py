"""Whether an input fits into memory, asked before anything runs: Linux would rather kill a process than refuse it.

The model runs once on the meta device, where tensors have shapes and no contents; what lives at the same time is added
up. That is the least an eager run of PyTorch needs, and nothing here needs less.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgevision.environment import available_memory
from edgevision.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from edgevision.stages.create import InputSpec

__all__ = ["check_fits", "peak_of_activations"]

#: Measured on MobileMamba-B4 from 512 to 2048 px: operators' scratch and re-ordered copies make 3 to 4.3 times of it.
_MARGIN = 4.0
#: No vision network holds this many times its input at once: below, the model need not be asked.
_SMALL = 1000


def check_fits(module: nn.Module, inputs: Sequence[InputSpec], batch: int) -> None:
    """Refuse inputs that the memory of this machine cannot hold, or whose activations it cannot.

    Raises:
        UsageError: too large; says how much is needed and how much there is.
    """
    free = available_memory()
    size = 4 * batch * sum(math.prod(i.shape) for i in inputs)
    sides = inputs[0].shape[1:]
    label = f"--input-size {'x'.join(map(str, sides))}" + (f" --batch {batch}" if batch > 1 else "")
    if size > free:
        raise _too_large(label, "the input alone needs", size, free)
    if size * _SMALL < free:
        return
    needed = peak_of_activations(module, inputs, batch)
    if needed is not None and needed * _MARGIN > free:
        raise _too_large(label, "its activations need", round(needed * _MARGIN), free)


def _too_large(label: str, what: str, needed: int, free: int) -> UsageError:
    return UsageError(
        label,
        f"{what} {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB of memory are free",
        "give a smaller size",
    )


def peak_of_activations(module: nn.Module, inputs: Sequence[InputSpec], batch: int) -> int | None:
    """Bytes of tensors alive at once in one forward pass, parameters left out; None where shapes alone do not tell."""
    import torch
    from torch.func import functional_call

    state = {name: tensor.detach().to("meta") for name, tensor in module.state_dict(keep_vars=True).items()}
    example = tuple(torch.empty((batch, *i.shape), device="meta") for i in inputs)
    counter = _live_bytes()
    try:
        with torch.no_grad(), counter:
            functional_call(module, state, example)
    except (RuntimeError, NotImplementedError, TypeError, ValueError):  # the model looks at values, or mixes devices
        return None
    peak: int = counter.peak + sum(t.nbytes for t in example)
    return peak


def _live_bytes() -> Any:
    """A dispatch mode that counts the bytes of the storages its operators make, until they are freed."""
    from torch.utils import _pytree as pytree
    from torch.utils._python_dispatch import TorchDispatchMode

    class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own __init_subclass__
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.now = self.peak = 0
            self._seen: set[int] = set()

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            for leaf in pytree.tree_leaves(result):
                if hasattr(leaf, "untyped_storage"):
                    self._count(leaf.untyped_storage())
            return result

        def _count(self, storage: Any) -> None:
            key = storage._cdata
            if key in self._seen:
                return
            size = storage.nbytes()
            self._seen.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._free, key, size)

        def _free(self, key: int, size: int) -> None:
            self._seen.discard(key)
            self.now -= size

    return LiveBytes()
