"""load: from what the user named to an `nn.Module` in eval mode with weights and known inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import UsageError
from edgevision.hashing import file_sha256, state_sha256
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
    """A model ready to be captured. `cacheable` is False for code that our own source hash does not cover."""

    module: nn.Module
    info: ModelInfo
    inputs: tuple[InputSpec, ...]
    digest: str
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
    source, key, file_digest, warnings = _give_weights(spec, made, options)
    made.module.eval()
    digest = state_sha256(made.module.state_dict())
    info = ModelInfo(
        name=made.family,
        variant=made.name,
        params=sum(p.numel() for p in made.module.parameters()),
        input_shape=("batch", *made.inputs[0].shape),
        weights={"source": source, "key": key, "sha256": file_digest or digest},
        preprocess=made.preprocess,
    )
    loaded = Loaded(
        module=made.module,
        info=info,
        inputs=made.inputs,
        digest=digest,
        cacheable=not isinstance(spec, FactoryModel),
        warnings=warnings,
    )
    return loaded, watch.record(inputs=[str(info.weights["sha256"])], outputs=[digest], notes=warnings)


def _give_weights(
    spec: ZooModel | TimmModel | FactoryModel, made: Created, options: LoadOptions
) -> tuple[str, str | None, str | None, tuple[str, ...]]:
    """Weights from the file, or random ones. Returns (source, key, sha256 of the file, warnings)."""
    from edgevision.weights import load_checkpoint, load_into, randomise_

    if options.weights is not None:
        state = load_checkpoint(options.weights, options.weights_key)
        load_into(made.module, state)
        return options.weights.name, options.weights_key, file_sha256(options.weights), ()
    if options.weights_key is not None:
        raise UsageError("--weights-key", "it needs --weights", "name the checkpoint file")
    if isinstance(spec, FactoryModel):
        return "the factory's own", None, None, ()
    randomise_(made.module, options.seed)
    warning = (
        f"random weights (seed {options.seed}, norm statistics randomised): good for speed and parity, "
        "its answers mean nothing; give --weights for a trained model"
    )
    return f"random, seed {options.seed}", None, None, (warning,)


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
