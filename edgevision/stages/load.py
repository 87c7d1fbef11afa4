"""load: from what the user named to an `nn.Module` in eval mode with weights and known inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import ModelError, UsageError
from edgevision.hashing import state_sha256
from edgevision.manifest import ModelInfo, Record
from edgevision.spec import FactoryModel, TimmModel, ZooModel
from edgevision.stages.create import Created, InputSpec, create
from edgevision.stages.memory import check_fits
from edgevision.stages.timing import Stopwatch

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["LoadOptions", "Loaded", "load"]


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What to load and how.

    Attributes:
        weights: checkpoint file; None takes the weights that come with the model, else seeded random ones.
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
        return example_of(self.inputs, batch, seed)


def example_of(inputs: Sequence[InputSpec], batch: int, seed: int) -> dict[str, torch.Tensor]:
    """Standard normal tensors for `inputs`, reproducible by `seed`."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return {i.name: torch.randn((batch, *i.shape), generator=generator) for i in inputs}


def load(spec: ZooModel | TimmModel | FactoryModel, options: LoadOptions, batch: int = 1) -> tuple[Loaded, Record]:
    """Create the model, give it its weights and put it in eval mode; one whose `batch` overflows memory is refused.

    Raises:
        ModelError: the model does not exist or its weights do not fit.
        UsageError: an option the model does not take, an input it cannot take.
    """
    watch = Stopwatch("load")
    made = create(spec, options.model_args, options.input_size)
    _check_sides(made)
    check_fits(made.module, made.inputs, batch)
    weights = _give_weights(spec, made, options)
    notes = [f"weights: {weights.source}"]
    if isinstance(spec, FactoryModel) and weights.module.training:
        notes.append("the factory returned it in train mode: exported in eval mode")
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
        warnings=(*made.warnings, *weights.warnings),
    )
    record = watch.record(inputs=[str(info.weights["sha256"])], outputs=[digest], notes=notes)
    return loaded, record


@dataclass(frozen=True, kw_only=True)
class _Weighted:
    """A module with its weights, and where they came from."""

    module: nn.Module
    source: str
    key: str | None = None
    sha256: str | None = None
    warnings: tuple[str, ...] = ()


def _give_weights(spec: ZooModel | TimmModel | FactoryModel, made: Created, options: LoadOptions) -> _Weighted:
    """Weights from the file, those that come with the model, the factory's own, or random ones.

    A zoo model may change its form to fit the file. One whose fields are overridden is another network than the one
    that was trained.
    """
    if options.weights is not None:
        return _weights_from_file(spec, made, options.weights, options)
    if options.weights_key is not None:
        raise UsageError("--weights-key", "it needs --weights", "name the checkpoint file")
    if isinstance(spec, FactoryModel):
        return _Weighted(module=made.module, source="the factory's own")
    if isinstance(spec, TimmModel) and options.model_args.get("pretrained"):
        return _Weighted(module=made.module, source="timm's own, pretrained")
    if isinstance(spec, ZooModel) and not options.model_args:
        from edgevision.weights import create_with_own_weights

        own = create_with_own_weights(spec.name)
        if own is not None:
            module, checkpoint, source = own
            return _Weighted(module=module, source=source, sha256=checkpoint.sha256)
    from edgevision.random_weights import randomise_

    example = example_of(made.inputs, _batch_of_statistics(made), options.seed)
    randomise_(made.module.eval(), options.seed, tuple(example.values()))
    warning = (
        f"random weights (seed {options.seed}, norm statistics randomised): good for speed and parity, "
        "its answers mean nothing; give --weights for a trained model"
    )
    return _Weighted(module=made.module, source=f"random, seed {options.seed}", warnings=(warning,))


def _batch_of_statistics(made: Created) -> int:
    """Several samples, fewer of large ones: the statistics of one are a constant's where a norm follows the pooling."""
    pixels = max(math.prod(spec.shape[1:]) for spec in made.inputs)
    return max(2, min(8, 2**21 // pixels))


def _weights_from_file(
    spec: ZooModel | TimmModel | FactoryModel, made: Created, path: Path, options: LoadOptions
) -> _Weighted:
    from edgevision.weights import create_with_weights, load_into, read_checkpoint

    try:
        if isinstance(spec, ZooModel):
            module, form, checkpoint = create_with_weights(
                spec.name, path, key=options.weights_key, overrides=options.model_args
            )
            source = f"{path.name} ({form} form)"
        else:
            module, checkpoint, source = made.module, read_checkpoint(path, options.weights_key), path.name
            load_into(module, checkpoint.state, str(path))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(f"weights {path}", f"the file cannot be read ({reason})", "check its permissions") from error
    return _Weighted(module=module, source=source, key=checkpoint.key, sha256=checkpoint.sha256)


def _check_sides(made: Created) -> None:
    """Refuse an image the network is not defined for."""
    for spec in made.inputs:
        sides = spec.shape[1:]
        if sides and min(sides) < made.least_side:
            raise UsageError(
                f"--input-size {'x'.join(map(str, sides))}",
                f"{made.name} needs at least {made.least_side} pixels a side",
                f"give {made.least_side} or more",
            )
