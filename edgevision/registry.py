"""The zoo by name: every variant of every card in `edgevision.models`, and the model it stands for.

A card (`models/<architecture>.toml`) holds all numbers of an architecture; its module, `models/<architecture>.py`
unless the card names another, holds the arithmetic, as a frozen keyword-only dataclass `Config` and
`build(config, *, deploy=False)`. Cards are read without torch, so listing the zoo costs nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from edgevision.errors import ModelError, UsageError
from edgevision.overrides import ConfigValue, configured

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ConfigValue",
    "Form",
    "Preprocessing",
    "Trained",
    "Variant",
    "Weights",
    "aliases",
    "collect",
    "create_model",
    "find_variant",
    "variants",
]

Form = Literal["training", "deploy"]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How an image becomes the network's input: resized so that the crop is `crop_pct` of it, cropped, normalised.

    Attributes:
        mean, std: per channel, of pixels in [0, 1].
        crop_pct: side of the centre crop over the resized shorter side; 1.0 where images enter at their own size.
        interpolation: name of the resampling filter, as Pillow has it in lower case.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_pct: float
    interpolation: str


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Published weights: where they are, and the checksum where their authors' release has been hashed."""

    url: str
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Weights that come with edgevision, `models/weights/<variant>.pth`: those of the first of `folds` networks.

    Attributes:
        data: what they were trained on, as `--data` names it.
        seed: of the folds, the initialisation and the training.
        folds: networks of the cross-validation.
        accuracy: percent of the whole data set, each sample classified by the network that has not seen it.
        sha256: of the file.
    """

    data: str
    seed: int
    folds: int
    accuracy: float
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One network of the zoo, as its card describes it.

    Attributes:
        name: what the user types.
        family: networks of one paper; its bare name is an alias of the smallest of them.
        architecture: name of its card.
        module: module of `edgevision.models` that builds it.
        task: "classification" or "super-resolution".
        forms: the forms that `create_model` can build, "training" first.
        input_size: height and width it was published at.
        least_side: smallest height and width it accepts.
        params: trainable and fixed parameters of the training form.
        deploy_params: the same of the deploy form, where it is known.
        macs: published multiply-accumulates at `input_size`.
        top1: published ImageNet top-1, in percent.
        tolerance: bound of max_abs_over_std against the official network.
        weights: published ones.
        trained: ours, which `export` takes when it is given no others.
        golden, deploy_golden: names of the fixtures of both forms, whether or not the fixtures are at hand.
        requires: packages beyond the core that building it imports.
        config: every field of the architecture's `Config`.
    """

    name: str
    family: str
    architecture: str
    module: str
    title: str
    paper: str
    repository: str
    license: str
    task: str
    forms: tuple[Form, ...]
    preprocessing: Preprocessing
    input_size: tuple[int, int]
    least_side: int
    params: int
    tolerance: float
    config: Mapping[str, ConfigValue]
    deploy_params: int | None = None
    macs: int | None = None
    top1: float | None = None
    golden: str | None = None
    deploy_golden: str | None = None
    weights: Weights | None = None
    trained: Trained | None = None
    requires: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape [1, C, H, W] of one published-size input."""
        channels = self.config["in_chans"]
        if not isinstance(channels, int):
            raise TypeError(f"{self.name}: in_chans of the card is not an int")
        return (1, channels, *self.input_size)

    @property
    def preprocess(self) -> dict[str, object]:
        """Task and preprocessing as a manifest holds them."""
        return {"task": self.task, **asdict(self.preprocessing)}


@cache
def variants() -> Mapping[str, Variant]:
    """All variants by name, in the order of the cards' file names."""
    return MappingProxyType(collect(_cards()))


@cache
def aliases() -> Mapping[str, str]:
    """Each family's bare name -> its smallest published variant, where that name is not a variant's own."""
    smallest: dict[str, Variant] = {}
    for variant in variants().values():
        if variant.trained is not None:
            continue  # a miniature of ours
        best = smallest.get(variant.family)
        if best is None or (variant.params, variant.input_size) < (best.params, best.input_size):
            smallest[variant.family] = variant
    return MappingProxyType({f: v.name for f, v in smallest.items() if f not in variants()})


def find_variant(name: str) -> Variant:
    """The variant called `name`, or the smallest of the family called so.

    Raises:
        ModelError: no such name; the nearest ones are listed and none is chosen.
    """
    known = variants()
    found = known.get(aliases().get(name, name))
    if found is not None:
        return found
    near = get_close_matches(name.lower(), [*known, *aliases()], n=5, cutoff=0.5)
    nearest = f"nearest names: {', '.join(near)}; " if near else ""
    raise ModelError(f"model '{name}'", "no such name in the zoo", f"{nearest}`edgevision models` lists all")


def create_model(name: str, *, deploy: bool = False, **overrides: object) -> nn.Module:
    """The network called `name`, in eval mode, freshly initialised as its authors do.

    Args:
        name: a zoo name or a family's bare name.
        deploy: build the merged form, whose keys a re-parameterized checkpoint has.
        overrides: fields of the architecture's `Config` (num_classes, in_chans, …) in place of the card's.

    Raises:
        ModelError: unknown name, or a package the architecture needs is not installed.
        UsageError: unknown or ill-typed override, or a form the architecture does not have.
    """
    variant = find_variant(name)
    if deploy and "deploy" not in variant.forms:
        raise UsageError("deploy=True", f"{variant.name} has no deploy form of its own", "leave deploy out")
    module = import_module(f"edgevision.models.{variant.module}")
    config = module.Config(
        **configured(variant.name, variant.config, overrides, {f.name for f in fields(module.Config)})
    )
    model: nn.Module = module.build(config, deploy=deploy)
    return model.eval()


def collect(cards: Iterable[tuple[str, str]]) -> dict[str, Variant]:
    """Variants by name of `cards`, pairs of an architecture's name and its card's text.

    Raises:
        RuntimeError: two variants share a name, or a family is called like a variant of another one.
    """
    found: dict[str, Variant] = {}
    for architecture, text in cards:
        for variant in _variants_of(architecture, tomllib.loads(text)):
            if variant.name in found:
                raise RuntimeError(f"two variants are named {variant.name}")
            found[variant.name] = variant
    for variant in found.values():
        namesake = found.get(variant.family)
        if namesake is not None and namesake.family != variant.family:
            raise RuntimeError(f"{variant.family} names both a family and a variant of {namesake.family}")
    return found


def _cards() -> Iterable[tuple[str, str]]:
    folder = files("edgevision.models")
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            yield entry.name.removesuffix(".toml"), entry.read_text(encoding="utf-8")


def _variants_of(architecture: str, card: Mapping[str, Any]) -> Iterable[Variant]:
    """The variants of one card: what a variant states itself goes over what its card states for all."""
    shared = {k: v for k, v in card.items() if k not in ("variants", "config", "preprocessing")}
    for own in card["variants"]:
        stated = {**shared, **own}
        size = stated["input_size"]
        weights, trained = stated.get("weights"), stated.get("trained")
        yield Variant(
            **{
                **stated,
                "architecture": architecture,
                "module": stated.get("module", architecture),
                "forms": tuple(stated["forms"]),
                "requires": tuple(stated.get("requires", ())),
                "input_size": (size, size) if isinstance(size, int) else tuple(size),
                "weights": Weights(**weights) if weights else None,
                "trained": Trained(**trained) if trained else None,
                "preprocessing": Preprocessing(
                    **_frozen({**card["preprocessing"], **own.get("preprocessing", {})}),
                ),
                "config": MappingProxyType(_frozen({**card.get("config", {}), **own.get("config", {})})),
            }
        )


def _frozen(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _as_tuple(value) for key, value in table.items()}


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(element) for element in value) if isinstance(value, list) else value
