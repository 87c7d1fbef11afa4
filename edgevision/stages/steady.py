"""Inputs at which a network that decides is continuous.

A router picks an expert, a hash takes a sign. Where what they look at lies within rounding of the edge, two right
computations decide differently and end far apart: measured on `pvt_v2_b0_linangular_moe`, a change of the input in its
sixth digit moves the output of two random images in three by up to 0.8 of its std, and that of the others by 1e-5 to 1e-4.
Nothing can be proven at such an edge, so inputs that lie on one are passed over, and it is said how many were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from edgevision.proof import worst_difference

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

__all__ = ["Chosen", "choose_steady", "graph_decides", "module_decides"]

Array = NDArray[Any]
Feed = Mapping[str, Array]
#: Relative size of the change, ten times what rounding adds up to on the way to the last router, and how often it is
#: tried: each finds about half of the edges.
_CHANGE: Final = 1e-5
_TRIES: Final = 8
#: A continuous network moves less, in std of its output.
_MOVED: Final = 1e-4
#: After so many inputs on an edge the network has no others; its proofs then fail, and say why.
_DRAWS: Final = 24
_DECIDING: Final = frozenset(
    {"argmax", "argmin", "topk", "sort", "sign", "round", "floor", "ceil", "trunc", "gt", "lt", "ge", "le"}
)
_DECIDING_OPS: Final = frozenset(
    {"ArgMax", "ArgMin", "TopK", "Sign", "Round", "Floor", "Ceil", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"}
)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Feeds with their seeds and the network's outputs for them, and how many others lay on an edge."""

    seeds: Sequence[int]
    feeds: Sequence[Feed]
    outputs: Sequence[Sequence[Array]]
    passed_over: int

    @property
    def note(self) -> str:
        """A sentence for people; empty where nothing was passed over."""
        if not self.passed_over:
            return ""
        return (
            f"{self.passed_over} random inputs at which the network decides within rounding of an edge were passed over: "
            "a change in the sixth digit moves its answer there, in any runtime"
        )


def choose_steady(
    run: Callable[[Feed], Sequence[Array]],
    draw: Callable[[int, int], Feed],
    batches: Sequence[int],
    seed: int,
) -> Chosen:
    """One steady feed per entry of `batches`; the first one drawn where none of two dozen is.

    Args:
        run: the network.
        draw: a feed from a batch size and a seed.
        batches: sizes of the batches.
        seed: of the first feed; others count up from it.
    """
    chosen, passed_over = [], 0
    for index, batch in enumerate(batches):
        drawn: list[tuple[int, Feed, Sequence[Array]]] = []
        for number in (seed + index + draws * max(1000, len(batches)) for draws in range(_DRAWS)):
            feed = draw(batch, number)
            answer = run(feed)
            drawn.append((number, feed, answer))
            if all(worst_difference(answer, run(near)).max_abs_over_std <= _MOVED for near in _changed(feed, number)):
                break
        else:
            drawn = drawn[:1]
        chosen.append(drawn[-1])
        passed_over += len(drawn) - 1
    seeds, feeds, outputs = zip(*chosen, strict=True)
    return Chosen(seeds=seeds, feeds=feeds, outputs=outputs, passed_over=passed_over)


def _changed(feed: Feed, seed: int) -> Iterator[Feed]:
    """The feed several times, every number of it moved by about a hundred thousandth."""
    generator = np.random.default_rng(seed)

    def moved(value: Array) -> Array:
        if value.dtype.kind != "f":
            return value
        factors = 1 + _CHANGE * generator.standard_normal(value.shape)
        return np.asarray(value * factors, value.dtype)

    for _ in range(_TRIES):
        yield {name: moved(value) for name, value in feed.items()}


def module_decides(module: nn.Module, example: Sequence[Any]) -> bool:
    """Whether a forward pass compares, sorts or rounds floating-point numbers; False where it cannot be watched."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own __init_subclass__
        found = False

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = getattr(func, "overloadpacket", func).__name__.rstrip("_")
            first = args[0] if args else None
            self.found |= name in _DECIDING and isinstance(first, torch.Tensor) and first.is_floating_point()
            return func(*args, **(kwargs or {}))

    watch = Watch()  # type: ignore[no-untyped-call]
    try:
        with torch.no_grad(), watch:
            module(*example)
    except (RuntimeError, NotImplementedError, TypeError, ValueError):  # it does not run under a dispatch mode
        return False
    return bool(watch.found)


def graph_decides(model: ir.Model) -> bool:
    """Whether a graph, or the body of a function it calls, compares, sorts or rounds."""
    nodes = [*model.graph.all_nodes(), *(node for body in model.functions.values() for node in body.all_nodes())]
    return any(node.op_type in _DECIDING_OPS and node.domain == "" for node in nodes)
