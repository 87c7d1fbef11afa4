"""What 8 bits would cost where every scheme stays float: the measurements behind `stays_float` of `quantize/schemes/*.toml`.

    python tests/bench/stays_float.py MODEL [--weights FILE]

One kind of value at a time goes through 8 bits, unsigned with a free zero point and one scale a tensor, its range taken
from the very images that are judged: the best case. Signal to noise of the answers, dB. On digits the network has not
seen with its shipped weights; another network on photographs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from recovery import photographs
from torch import Tensor, nn

from edgevision.cache import default_cache
from edgevision.ops.selective_scan import torch_op
from edgevision.ops.selective_scan.recurrence import recurrence
from edgevision.registry import find_variant
from edgevision.spec import Batch, ZooModel
from edgevision.stages.capture import CaptureOptions
from edgevision.stages.graph import deploy_graph
from edgevision.stages.load import Loaded, LoadOptions, load
from edgevision.stages.samples import samples_of_module
from edgevision.stages.timing import unreported
from edgevision.train.cross_validation import digit_set, folds_of

IMAGES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--weights", type=Path)
    given = parser.parse_args()
    loaded, _ = load(ZooModel(given.model), LoadOptions(weights=given.weights))
    images = inputs_of(loaded)
    with torch.no_grad():
        exact = answers(loaded.module, images)
        for title, rounded in KINDS.items():
            with ExitStack() as changes:
                if not rounded(loaded.module, changes):
                    continue
                noise = (answers(loaded.module, images) - exact).square().sum()
            sys.stdout.write(f"{given.model}: {title}: {10 * torch.log10(exact.square().sum() / noise):.1f} dB\n")


def inputs_of(loaded: Loaded) -> Tensor:
    variant = find_variant(loaded.info.variant)
    if variant.trained is not None:
        data = digit_set(variant)
        return torch.from_numpy(data.images[folds_of(variant, data.labels)[0].test[:IMAGES]])
    options = CaptureOptions(batch=Batch())
    graph = deploy_graph(loaded, options, samples_of_module(loaded, [1], 0), default_cache(), unreported).model
    return torch.from_numpy(photographs(loaded, graph)[1][:8])


def answers(module: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([module(part) for part in images.split(25)]).double()


def eight_bits(x: Tensor) -> Tensor:
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    scale = (high - low) / 255 or 1.0
    zero = round(-low / scale)
    return ((x / scale).round() + zero).clamp(0, 255).sub(zero).mul(scale)


def hooked(module: nn.Module, changes: ExitStack, kind: type[nn.Module] | tuple[type[nn.Module], ...]) -> bool:
    """What modules of a kind read and write goes through 8 bits."""
    found = [m for m in module.modules() if isinstance(m, kind)]
    for each in found:
        before = each.register_forward_pre_hook(lambda _, given: tuple(eight_bits(x) for x in given))
        after = each.register_forward_hook(lambda _, __, result: eight_bits(result))
        changes.callback(before.remove)
        changes.callback(after.remove)
    return bool(found)


def scanned(what: str) -> Callable[[nn.Module, ExitStack], bool]:
    """Something of every selective scan goes through 8 bits: `softplus`, `exp`, `state`, or its `inputs`."""

    def change(module: nn.Module, changes: ExitStack) -> bool:
        prepare = torch_op._prepare

        def prepared(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, *rest: Any) -> Any:
            if what == "inputs":
                u, delta, B, C = (eight_bits(x) for x in (u, delta, B, C))
            steps = prepare(u, delta, A, B, C, *rest)
            return replace(steps, dt=eight_bits(steps.dt)) if what == "softplus" else steps

        def state(steps: Any, n: int) -> tuple[Tensor, Tensor, Tensor]:
            decay = torch.exp(steps.dt * steps.A[..., n])
            decay = eight_bits(decay) if what == "exp" else decay
            drive = steps.dt * steps.B[..., n, None]
            kept = recurrence(decay, drive * steps.u)
            return decay, drive, eight_bits(kept) if what == "state" else kept

        changes.enter_context(mock.patch.object(torch_op, "_prepare", prepared))
        changes.enter_context(mock.patch.object(torch_op._Steps, "state", state))
        return any("A_log" in name.rpartition(".")[2] for name, _ in module.named_parameters())

    return change


KINDS: dict[str, Callable[[nn.Module, ExitStack], bool]] = {
    "every convolution and linear layer": lambda m, c: hooked(m, c, (nn.Conv1d, nn.Conv2d, nn.Linear)),
    "LayerNormalization": lambda m, c: hooked(m, c, nn.LayerNorm),
    "Softplus": scanned("softplus"),
    "Exp": scanned("exp"),
    "EvSelectiveScan, its state": scanned("state"),
    "EvSelectiveScan, u, delta, B and C": scanned("inputs"),
}


if __name__ == "__main__":
    main()
