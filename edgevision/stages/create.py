"""Where modules come from: our zoo, timm, or a function of the user's own."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import ModelError, UsageError
from edgevision.spec import FactoryModel, TimmModel, ZooModel
from edgevision.stages.users_code import raised_by_user

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Created", "InputSpec", "create"]


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """A model input: name and dims without the batch."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Created:
    """A module before its weights, and what its card (or timm, or itself) says of its inputs."""

    module: nn.Module
    family: str
    name: str
    inputs: tuple[InputSpec, ...]
    preprocess: Mapping[str, Any] | None
    least_side: int = 1
    warnings: tuple[str, ...] = ()


def create(
    spec: ZooModel | TimmModel | FactoryModel, arguments: Mapping[str, Any], size: tuple[int, int] | None
) -> Created:
    """Make the module that `spec` names.

    Args:
        spec: which one.
        arguments: overrides of the card's fields, or arguments of timm's or the user's factory.
        size: height and width in pixels, None for the model's own.

    Raises:
        ModelError: it does not exist, making it failed, or a package it needs is missing.
        UsageError: arguments it does not take; no input size known.
    """
    match spec:
        case ZooModel(name):
            return _from_zoo(name, arguments, size)
        case TimmModel(name):
            return _from_timm(name, arguments, size)
        case FactoryModel(module, factory):
            return _from_factory(module, factory, arguments, size)


def _from_zoo(name: str, arguments: Mapping[str, Any], size: tuple[int, int] | None) -> Created:
    from edgevision.import_timm import torchvision_note
    from edgevision.registry import create_model, find_variant

    variant = find_variant(name)
    module = create_model(name, **arguments)
    note = torchvision_note() if "timm" in variant.requires else None
    channels = arguments.get("in_chans", variant.input_shape[1])
    return Created(
        module=module,
        family=variant.family,
        name=variant.name,
        inputs=(InputSpec(name="image", shape=(channels, *(size or variant.input_size))),),
        preprocess=variant.preprocess,
        least_side=variant.least_side,
        warnings=() if note is None else (note,),
    )


def _from_timm(name: str, arguments: Mapping[str, Any], size: tuple[int, int] | None) -> Created:
    from edgevision.import_timm import import_timm, torchvision_note

    timm = import_timm()
    if not timm.is_model(name):
        from difflib import get_close_matches

        near = ", ".join(get_close_matches(name, timm.list_models(), n=3)) or "none"
        raise ModelError(f"timm:{name}", f"timm has no model of that name (nearest: {near})", "see timm.list_models()")
    label = f"timm:{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
    try:
        module = timm.create_model(name, **arguments)
    except TypeError as error:
        raise UsageError(label, f"it does not take these arguments ({error})", "check --model-arg") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(label, f"timm cannot make it ({error})", "check --model-arg") from error
    note = torchvision_note()
    config = module.default_cfg
    channels, *sides = config["input_size"]
    preprocess = {k: config[k] for k in ("mean", "std", "crop_pct", "interpolation") if k in config}
    return Created(
        module=module,
        family=f"timm:{config.get('architecture', name)}",
        name=name,
        inputs=(InputSpec(name="image", shape=(int(arguments.get("in_chans", channels)), *(size or sides))),),
        preprocess={"task": "classification", **preprocess},
        warnings=() if note is None else (note,),
    )


def _from_factory(
    module_name: str, factory_name: str, arguments: Mapping[str, Any], size: tuple[int, int] | None
) -> Created:
    from torch import nn

    label = f"{module_name}:{factory_name}"
    factory = _find_factory(module_name, factory_name, label)
    _check_arguments(factory, arguments, label)
    try:
        module = factory(**arguments)
    except Exception as error:  # the user's own code may raise anything at all
        raise ModelError(label, f"calling it raised {raised_by_user(error)}", "mend it, then export again") from error
    if not isinstance(module, nn.Module):
        raise ModelError(
            label, f"it returned {type(module).__name__}, not a torch.nn.Module", "return the module itself"
        )
    return Created(
        module=module,
        family=module_name,
        name=factory_name,
        inputs=_declared_inputs(module, label, size),
        preprocess=getattr(module, "preprocess", None),
    )


def _find_factory(module_name: str, factory_name: str, label: str) -> Any:
    # The user's own module lies where they call us from, as with `python -m`.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ModelError(
            label, f"no module named {error.name}", "run from the folder that holds it, or set PYTHONPATH"
        ) from error
    except Exception as error:  # the user's own code may raise anything at all
        raise ModelError(label, f"importing it raised {raised_by_user(error)}", "mend the module") from error
    factory = getattr(module, factory_name, None)
    if factory is None:
        raise ModelError(label, f"the module has no {factory_name}", "name a function that returns the model")
    if not callable(factory):
        raise ModelError(label, "it is not callable", "name a function that returns the model")
    return factory


def _check_arguments(factory: Any, arguments: Mapping[str, Any], label: str) -> None:
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        raise UsageError(
            label, f"it cannot be called so ({error})", "give what it needs with --model-arg K=V"
        ) from error
    except ValueError:  # builtins without a signature: calling it will tell
        return


def _declared_inputs(module: nn.Module, label: str, size: tuple[int, int] | None) -> tuple[InputSpec, ...]:
    """Inputs of a foreign module: its `example_inputs` (one tensor per forward argument), else one RGB image."""
    import torch

    example = getattr(module, "example_inputs", None)
    if example is not None:
        tensors = example if isinstance(example, (tuple, list)) else (example,)
        if not all(getattr(t, "dtype", None) == torch.float32 and t.ndim > 0 for t in tensors):
            raise ModelError(label, "its example_inputs are not float32 tensors", "give tensors with a batch dimension")
        names = ["image"] if len(tensors) == 1 else [f"input_{i}" for i in range(len(tensors))]
        return tuple(InputSpec(name=n, shape=tuple(t.shape[1:])) for n, t in zip(names, tensors, strict=True))
    if size is None:
        raise UsageError(
            label,
            "the size of its input is not known",
            "give --input-size HxW (one RGB image), or set `example_inputs` on the module (a tuple of tensors)",
        )
    return (InputSpec(name="image", shape=(3, *size)),)
