"""Content hashes of files, tensors and graphs, as the manifest and the cache use them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

__all__ = ["file_sha256", "model_sha256", "state_sha256", "tree_sha256"]


def file_sha256(path: Path) -> str:
    """sha256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_sha256(path: Path) -> str:
    """sha256 of a file, or of a folder's names and contents."""
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for part in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(str(part.relative_to(path)).encode() + b"\0" + file_sha256(part).encode())
    return digest.hexdigest()


def state_sha256(state: Mapping[str, torch.Tensor]) -> str:
    """sha256 over every tensor's name, dtype, shape and bytes, in name order."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


def model_sha256(model: ir.Model) -> str:
    """sha256 of a graph as it would be written to a file."""
    from edgevision.onnx_file import onnx_chunks

    digest = hashlib.sha256()
    for chunk in onnx_chunks(model):
        digest.update(chunk)
    return digest.hexdigest()
