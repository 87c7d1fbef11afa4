"""What every test of this folder needs before it imports anything."""

from __future__ import annotations

import importlib.util
import sys

import torch

torch.set_num_threads(1)


def _torchvision_schemas() -> None:
    """timm imports torchvision, which cannot be imported where its compiled operators do not fit torch: nothing here
    calls them, so their schemas will do."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for operator in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )


_torchvision_schemas()
