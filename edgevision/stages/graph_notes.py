"""What a graph file of ours says beside its graph: how images are made for it, so that a bundle made of the file knows too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgevision.errors import GraphError
from edgevision.manifest import as_json
from edgevision.onnx_file import save_onnx
from edgevision.whole_file import whole_file

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.manifest import ModelInfo

__all__ = ["noted_preprocess", "save_graph"]

_PREPROCESS: Final = "edgevision.preprocess"


def save_graph(model: ir.Model, out: Path, info: ModelInfo) -> None:
    """Write the graph with its notes, whole or not at all."""
    if info.preprocess is not None:
        model.metadata_props[_PREPROCESS] = json.dumps(as_json(info.preprocess))
    with whole_file(out) as staging:
        save_onnx(model, staging)


def noted_preprocess(model: ir.Model, file: str) -> Mapping[str, Any] | None:
    """How images are made for a graph that was read, None where the file does not say.

    Raises:
        GraphError: the note is not of the form that `save_graph` writes.
    """
    text = model.metadata_props.get(_PREPROCESS)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise GraphError(
            file, f"its note {_PREPROCESS} is no JSON object", "write the file again, or take the note out"
        )
    return found
