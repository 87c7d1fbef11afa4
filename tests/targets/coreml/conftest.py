"""What every test of this folder needs before it imports anything."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from edgevision.import_timm import import_timm

torch.set_num_threads(1)
if find_spec("timm") is not None:
    import_timm()  # so that `import timm` works beside a torchvision that does not fit torch, too
