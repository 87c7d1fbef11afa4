"""load: from what the user named to an `nn.Module` in eval mode with weights and known inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import UsageError
from edgevision.hashing import state_sha256
from edgevision.manifest import ModelInfo, Record
from edgevision.spec import FactoryModel, TimmModel, ZooModel
from edgevision.stages.create import Created, InputSpec, create
from edgevision.stages.timing import Stopwatch

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["LoadOptions", "Loaded", "load"]


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What to load and how.

    Attributes:
        weights: checkpoint file; None takes seeded random weights.
        weights_key: entry of the checkpoint that holds the state dict; None looks for the usual ones.
        model_args: overrides of the card's fields, or arguments of the user's factory.
        input_size: height and width in pixels; None takes the card's.
        seed: of the random weights.
    """

    weights: Path | None = None
    weights_key: str | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    input_size: tuple[int, int] | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model ready to be captured.

    Attributes:
        module: in eval mode.
        info: what the manifest says of it.
        inputs: its inputs, in the order of `forward`.
        digest: sha256 of its state.
        identity: what, besides the state, decides its graph: the name and the arguments it was made with.
        cacheable: False for code that our own source hash does not cover.
        warnings: what the user must be told.
    """

    module: nn.Module
    info: ModelInfo
    inputs: tuple[InputSpec, ...]
    digest: str
    identity: str
    cacheable: bool
    warnings: tuple[str, ...] = ()

    def example(self, batch: int, seed: int) -> dict[str, torch.Tensor]:
        """Standard normal inputs, one per `InputSpec`, reproducible by `seed`."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        return {i.name: torch.randn((batch, *i.shape), generator=generator) for i in self.inputs}


def load(spec: ZooModel | TimmModel | FactoryModel, options: LoadOptions) -> tuple[Loaded, Record]:
    """Create the model, give it its weights and put it in eval mode.

    Raises:
        ModelError: the model does not exist or its weights do not fit.
        UsageError: an option the model does not take, an input it cannot take.
    """
    watch = Stopwatch("load")
    made = create(spec, options.model_args, options.input_size)
    _check_inputs(made)
    weights = _give_weights(spec, made, options)
    module = weights.module.eval()
    digest = state_sha256(module.state_dict())
    info = ModelInfo(
        name=made.family,
        variant=made.name,
        params=sum(p.numel() for p in module.parameters()),
        input_shape=("batch", *made.inputs[0].shape),
        weights={"source": weights.source, "key": weights.key, "sha256": weights.sha256 or digest},
        preprocess=made.preprocess,
    )
    loaded = Loaded(
        module=module,
        info=info,
        inputs=made.inputs,
        digest=digest,
        identity=f"{made.family}/{made.name} {weights.source} {sorted(options.model_args.items())}",
        cacheable=not isinstance(spec, FactoryModel),
        warnings=weights.warnings,
    )
    return loaded, watch.record(inputs=[str(info.weights["sha256"])], outputs=[digest], notes=weights.warnings)


@dataclass(frozen=True, kw_only=True)
class _Weighted:
    """A module with its weights, and where they came from."""

    module: nn.Module
    source: str
    key: str | None = None
    sha256: str | None = None
    warnings: tuple[str, ...] = ()


def _give_weights(spec: ZooModel | TimmModel | FactoryModel, made: Created, options: LoadOptions) -> _Weighted:
    """Weights from the file, the factory's own, or random ones; a zoo model may change its form to fit the file."""
    if options.weights is not None:
        return _weights_from_file(spec, made, options.weights, options)
    if options.weights_key is not None:
        raise UsageError("--weights-key", "it needs --weights", "name the checkpoint file")
    if isinstance(spec, FactoryModel):
        return _Weighted(module=made.module, source="the factory's own")
    from edgevision.random_weights import randomise_

    randomise_(made.module, options.seed)
    warning = (
        f"random weights (seed {options.seed}, norm statistics randomised): good for speed and parity, "
        "its answers mean nothing; give --weights for a trained model"
    )
    return _Weighted(module=made.module, source=f"random, seed {options.seed}", warnings=(warning,))


def _weights_from_file(
    spec: ZooModel | TimmModel | FactoryModel, made: Created, path: Path, options: LoadOptions
) -> _Weighted:
    from edgevision.weights import create_with_weights, load_into, read_checkpoint

    if isinstance(spec, ZooModel):
        module, form, checkpoint = create_with_weights(
            spec.name, path, key=options.weights_key, overrides=options.model_args
        )
        source = f"{path.name} ({form} form)"
    else:
        module, checkpoint, source = made.module, read_checkpoint(path, options.weights_key), path.name
        load_into(module, checkpoint.state, str(path))
    return _Weighted(module=module, source=source, key=checkpoint.key, sha256=checkpoint.sha256)


def _check_inputs(made: Created) -> None:
    """Refuse an image the network is not defined for, or that no memory here could hold."""
    import psutil

    for spec in made.inputs:
        sides = spec.shape[1:]
        label = f"--input-size {'x'.join(map(str, sides))}"
        if sides and min(sides) < made.least_side:
            raise UsageError(
                label, f"{made.name} needs at least {made.least_side} pixels a side", f"give {made.least_side} or more"
            )
        # A network keeps at least its input and one feature map of that size beside it, in float32.
        needed = 8
        for dim in spec.shape:
            needed *= dim
        free = psutil.virtual_memory().available
        if needed > free:
            raise UsageError(
                label,
                f"the input alone needs {needed / 2**30:.0f} GiB and {free / 2**30:.0f} GiB of memory are free",
                "give a smaller size",
            )
