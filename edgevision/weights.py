"""Weights from files into models: strict, safe, and with errors that say what is wrong with the file.

A checkpoint is a mapping of names to tensors, plain or inside one of the usual wrappers. Files are unpickled with
torch's `weights_only` loader, which builds tensors and containers and runs nothing.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgevision.errors import ModelError
from edgevision.random_weights import randomise_
from edgevision.registry import Form, create_model, find_variant

__all__ = [
    "WRAPPERS",
    "Checkpoint",
    "create_with_own_weights",
    "create_with_weights",
    "load_checkpoint",
    "load_into",
    "mismatches",
    "randomise_",
    "read_checkpoint",
]

#: Where trainers put the state dict; the first that is there is taken, so the averaged `net_E` goes before `net`.
WRAPPERS = ("net_E", "net", "state_dict", "model", "params")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Contents of a weights file.

    Attributes:
        state: names, without any `module.` in front, to tensors on the CPU.
        path: the file.
        key: the wrapper the state was found under, None for a plain file.
        sha256: of the file's bytes.
    """

    state: Mapping[str, Tensor]
    path: Path
    key: str | None
    sha256: str


def load_checkpoint(path: str | Path, key: str | None = None) -> dict[str, Tensor]:
    """State dict of the file at `path`; see `read_checkpoint`."""
    return dict(read_checkpoint(path, key).state)


def read_checkpoint(path: str | Path, key: str | None = None) -> Checkpoint:
    """Read a `.safetensors` file, or anything `torch.save` wrote that holds tensors and plain containers only.

    Args:
        path: the file.
        key: the wrapper to look under; by default the file is plain or has one of `WRAPPERS`.

    Raises:
        ModelError: no such file, a folder, empty, truncated, not a checkpoint, a pickle that would have to run code,
            or no such key.
    """
    path = Path(path)
    _check_file(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    state, found = _unwrap(path, content, key)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Checkpoint(state=_without_module_prefix(state), path=path, key=found, sha256=digest)


def load_into(model: nn.Module, state: Mapping[str, Tensor], source: str = "weights") -> None:
    """Copy `state` into `model`, all of it or none.

    Raises:
        ModelError: missing, unexpected, mis-shaped or mis-typed names (the first five of each kind are listed), or a
            tensor with NaN or infinity.
    """
    wrong = mismatches(model, state)
    if wrong:
        raise ModelError(source, f"they do not fit the model: {'; '.join(wrong)}", "check the model's name and options")
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(source, f"tensor '{name}' has NaN or infinite values", "use an undamaged checkpoint")
    model.load_state_dict(dict(state), strict=True)


def create_with_weights(
    name: str, path: str | Path, *, key: str | None = None, overrides: Mapping[str, Any] | None = None
) -> tuple[nn.Module, Form, Checkpoint]:
    """The network called `name` with the weights at `path`, in the form whose keys the file has.

    Returns:
        The model in eval mode, its form, and the checkpoint that filled it.
    """
    checkpoint = read_checkpoint(path, key)
    variant = find_variant(name)
    training = create_model(name, **(overrides or {}))
    if "deploy" in variant.forms and mismatches(training, checkpoint.state):
        deploy = create_model(name, deploy=True, **(overrides or {}))
        if set(deploy.state_dict()) == set(checkpoint.state):
            load_into(deploy, checkpoint.state, str(path))
            return deploy, "deploy", checkpoint
    load_into(training, checkpoint.state, str(path))
    return training, "training", checkpoint


def create_with_own_weights(name: str) -> tuple[nn.Module, Checkpoint, str] | None:
    """The network called `name` with the weights that come with edgevision, the checkpoint, and a phrase that says so.

    None where none come with it.

    Raises:
        ModelError: the installed file is not the one that the card states.
    """
    variant = find_variant(name)
    if variant.trained is None:
        return None
    path = Path(str(files("edgevision.models").joinpath("weights", f"{variant.name}.pth")))
    module, _, checkpoint = create_with_weights(variant.name, path)
    if checkpoint.sha256 != variant.trained.sha256:
        raise ModelError(f"weights {path.name}", "it is not the file that the card states", "install edgevision again")
    how = f"trained on {variant.trained.data}, seed {variant.trained.seed}"
    return module, checkpoint, f"{path.name}, comes with edgevision ({how})"


def mismatches(model: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """What keeps `state` from being loaded into `model`, a phrase per kind; empty when it fits."""
    own = model.state_dict()
    shared = [name for name in own if name in state]
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in shared
        if state[name].shape != own[name].shape
    ]
    kinds = [
        f"{name} {state[name].dtype} instead of {own[name].dtype}"
        for name in shared
        if state[name].is_floating_point() != own[name].is_floating_point()
    ]
    found = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "mis-shaped": shapes,
        "mis-typed": kinds,
    }
    return [f"{len(names)} {kind}: {_first_five(names)}" for kind, names in found.items() if names]


def _first_five(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _check_file(path: Path) -> None:
    if not path.exists():
        raise ModelError(f"weights {path}", "there is no such file", "check the path")
    if path.is_dir():
        raise ModelError(f"weights {path}", "it is a folder", "name the file in it")
    if path.stat().st_size == 0:
        raise ModelError(f"weights {path}", "the file is empty", "fetch it again")


def _read_torch(path: Path) -> Any:
    with path.open("rb") as stream:
        head = stream.read(4)
    is_archive, is_pickle = head == b"PK\x03\x04", head[:1] == b"\x80"
    if is_archive and not zipfile.is_zipfile(path):
        raise ModelError(f"weights {path}", "the file is truncated: its archive has no end", "fetch it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if is_archive or is_pickle:
            raise ModelError(
                f"weights {path}",
                "its pickle holds more than tensors and plain containers, and unpickling that could run code; refused",
                "where you trust the file, load it with its own code and save only the state dict",
            ) from error
        raise _not_a_checkpoint(path) from error
    except (RuntimeError, EOFError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise _not_a_checkpoint(path) from error


def _read_safetensors(path: Path) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise ModelError(
            f"weights {path}", "the package safetensors is not installed", "pip install safetensors"
        ) from error
    try:
        return load_file(path)
    except SafetensorError as error:
        raise _not_a_checkpoint(path) from error


def _not_a_checkpoint(path: Path) -> ModelError:
    return ModelError(
        f"weights {path}",
        "it is damaged or not a checkpoint that torch.save or safetensors wrote",
        "fetch it again, or save the model's state dict",
    )


def _unwrap(path: Path, content: Any, key: str | None) -> tuple[Mapping[str, Tensor], str | None]:
    if key is None and _is_state(content):
        return content, None
    there = [str(name) for name in content] if isinstance(content, Mapping) else []
    if key is not None:
        candidates = [key] if key in there else []
    else:
        candidates = [name for name in WRAPPERS if name in there and _is_state(content[name])]
    if not candidates or not _is_state(content[candidates[0]]):
        what = f"'{key}' is not a state dict in it" if key is not None else "no state dict was found in it"
        listed = f"it has: {_first_five(there)}" if there else f"it holds a {type(content).__name__}"
        raise ModelError(f"weights {path}", f"{what}; {listed}", "name the right one with --weights-key")
    return content[candidates[0]], candidates[0]


def _is_state(content: Any) -> bool:
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items())
    )


def _without_module_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` as it was before `DataParallel` wrapped the model."""
    prefix = "module." if all(name.startswith("module.") for name in state) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}
