"""Samples: inputs with the outputs of the original model, which every later stage is held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import DataError, GraphError, ModelError
from edgevision.proof import Difference, worst_difference, worst_of
from edgevision.stages.steady import choose_steady, module_decides
from edgevision.stages.users_code import raised_by_user
from edgevision.targets.reference import Reference
from edgevision.targets.target import Particular, Runner, Target

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.stages.load import Loaded

__all__ = [
    "Array",
    "Samples",
    "compare_runner",
    "opened_graph",
    "read_samples",
    "representable_samples",
    "run_graph",
    "run_samples",
    "samples_of_graph",
    "samples_of_module",
    "worst_by_output",
    "worst_over",
]

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Feeds and, for each, the outputs of the model named by `reference`; `note` says how they were chosen."""

    feeds: Sequence[Mapping[str, Array]]
    outputs: Sequence[Sequence[Array]]
    reference: str
    note: str = ""

    def write_first(self, path: Path) -> None:
        """Keep one sample in a bundle: what `verify` and a device compare with, without the original model."""
        arrays = {f"input.{name}": value for name, value in self.feeds[0].items()}
        arrays |= {f"output.{i}": value for i, value in enumerate(self.outputs[0])}
        np.savez_compressed(path, allow_pickle=False, **arrays)


def read_samples(path: Path, reference: str) -> Samples:
    """The sample a bundle carries.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            feeds = {k.removeprefix("input."): arrays[k] for k in arrays if k.startswith("input.")}
            count = sum(k.startswith("output.") for k in arrays)
            outputs = [arrays[f"output.{i}"] for i in range(count)]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            str(path), f"the bundle's sample cannot be read ({error})", "export the bundle again"
        ) from error
    return Samples(feeds=(feeds,), outputs=(outputs,), reference=reference)


def samples_of_module(loaded: Loaded, batches: Sequence[int], seed: int) -> Samples:
    """Standard normal inputs, one feed per entry of `batches`, and what PyTorch computes for them in float32.

    Inputs at which a router or a hash decides by a hair are passed over; see `steady`.

    Raises:
        ModelError: the model's own output is not finite.
    """
    import torch

    def draw(batch: int, number: int) -> dict[str, Array]:
        return {name: tensor.numpy() for name, tensor in loaded.example(batch, number).items()}

    def run(feed: Mapping[str, Array]) -> list[Array]:
        with torch.no_grad():
            return _finite(loaded, tuple(map(torch.from_numpy, feed.values())))

    reference = "PyTorch eager, float32"
    feeds = [draw(batch, seed + index) for index, batch in enumerate(batches)]
    outputs = [run(feed) for feed in feeds]
    if not module_decides(loaded.module, tuple(map(torch.from_numpy, feeds[0].values()))):
        return Samples(feeds=feeds, outputs=outputs, reference=reference)
    chosen = choose_steady(run, draw, batches, seed)
    return Samples(feeds=chosen.feeds, outputs=chosen.outputs, reference=reference, note=chosen.note)


def _finite(loaded: Loaded, example: Sequence[Any]) -> list[Array]:
    """The outputs for one example; ModelError where they are not numbers."""
    result = _outputs(loaded, example)
    if all(np.isfinite(array).all() for array in result):
        return result
    raise ModelError(
        loaded.info.variant,
        "PyTorch itself computes NaN or Inf for a standard normal input",
        "check the weights: a norm's variance may be zero or a scale enormous",
    )


def _outputs(loaded: Loaded, example: Sequence[Any]) -> list[Array]:
    import torch
    from torch.utils import _pytree as pytree

    try:
        leaves = pytree.tree_leaves(loaded.module(*example))
    except Exception as error:  # the user's forward may raise anything at all
        if isinstance(error, RuntimeError) and "not enough memory" in str(error):
            raise MemoryError from error
        shapes = ", ".join(str(tuple(t.shape)) for t in example)
        raise ModelError(
            loaded.info.variant,
            f"its forward, given {shapes}, raised {raised_by_user(error)}",
            "check --input-size and --model-arg, or the model's code",
        ) from error
    strangers = {type(leaf).__name__ for leaf in leaves if not isinstance(leaf, torch.Tensor)}
    if strangers or not leaves:
        what = ", ".join(sorted(strangers)) or "nothing"
        raise ModelError(loaded.info.variant, f"its forward returns {what}", "return tensors only")
    return [leaf.detach().numpy() for leaf in leaves]


def samples_of_graph(model: ir.Model, feeds: Sequence[Mapping[str, Array]], folder: Path, reference: str) -> Samples:
    """What the graph as given computes for `feeds`, run in the simplest way; nothing where there are none.

    Raises:
        ModelError: its own output is not finite.
    """
    outputs = run_graph(model, feeds, folder) if feeds else []
    if not all(np.isfinite(array).all() for result in outputs for array in result if array.dtype.kind == "f"):
        raise ModelError(
            reference,
            "it computes NaN or Inf for a standard normal input",
            "check the weights: a norm's variance may be zero or negative, or a scale enormous",
        )
    return Samples(feeds=feeds, outputs=outputs, reference=reference)


def representable_samples(samples: Samples, target: Target, model: ir.Model, folder: Path) -> Samples:
    """Samples that the artifact can be given, with what the graph computes for them; as they are where it takes all."""
    if not isinstance(target, Particular):
        return samples
    feeds = [target.representable(feed) for feed in samples.feeds]
    if all(a is b for a, b in zip(feeds, samples.feeds, strict=True)):
        return samples
    return samples_of_graph(model, feeds, folder, "the portable graph in ONNX Runtime")


def run_graph(model: ir.Model, feeds: Sequence[Mapping[str, Array]], folder: Path) -> list[list[Array]]:
    """Outputs of a graph on the reference target; `folder` takes temporary files."""
    with opened_graph(model, folder) as runner:
        return [runner(feed) for feed in feeds]


@contextmanager
def opened_graph(model: ir.Model, folder: Path) -> Iterator[Runner]:
    """A graph on the reference target; `folder` takes temporary files meanwhile.

    Weights lie beside the graph: written tensor by tensor and mapped, they are never in memory a second time.
    """
    import onnx_ir

    path, weights = folder / "probe.onnx", folder / "probe.weights"
    onnx_ir.save(model, path, external_data=weights.name)
    try:
        with Reference().load(path) as runner:
            yield runner
    finally:
        path.unlink()
        weights.unlink(missing_ok=True)


def worst_over(expected: Sequence[Sequence[Array]], got: Sequence[Sequence[Array]]) -> Difference:
    """The largest distance over all samples and outputs."""
    return worst_of([worst_difference(a, b) for a, b in zip(expected, got, strict=True)])


def worst_by_output(expected: Sequence[Sequence[Array]], got: Sequence[Sequence[Array]]) -> list[Difference]:
    """The largest distance over all samples, for each output; one infinite one where they are not as many."""
    if any(len(a) != len(b) for a, b in zip(expected, got, strict=True)):
        return [Difference(float("inf"), float("inf"))]
    by_output = zip(zip(*expected, strict=True), zip(*got, strict=True), strict=True)
    return [worst_difference(references, results) for references, results in by_output]


def run_samples(runner: Runner, samples: Samples) -> list[list[Array]]:
    """What a loaded artifact computes for every feed.

    Raises:
        GraphError: it has another number of outputs than the model.
    """
    got = [runner(feed) for feed in samples.feeds]
    if len(got[0]) != len(samples.outputs[0]):
        raise GraphError(
            "artifact", f"it has {len(got[0])} outputs, the model {len(samples.outputs[0])}", "this is a defect of ours"
        )
    return got


def compare_runner(runner: Runner, samples: Samples) -> Difference:
    """How far a loaded artifact is from the samples' outputs."""
    return worst_over(samples.outputs, run_samples(runner, samples))
