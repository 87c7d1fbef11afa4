"""A detector as people export it: a backbone, a feature pyramid, heads over three scales, boxes decoded in the graph."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

__all__ = ["export_detector"]

CLASSES, ANCHORS, WIDTH = 5, 3, 8


def _block(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inner, outer, 3, 2, 1, bias=False), nn.BatchNorm2d(outer), nn.SiLU())


class Detector(nn.Module):
    """Scores, the boxes and confidences of the best twenty anchors, and the finest map of the pyramid."""

    def __init__(self) -> None:
        super().__init__()
        widths = [WIDTH * 2**i for i in range(4)]
        self.stem = _block(3, widths[0])
        self.stages = nn.ModuleList(_block(a, b) for a, b in pairwise(widths))
        self.lateral = nn.ModuleList(nn.Conv2d(width, 16, 1) for width in widths[1:])
        self.score = nn.Conv2d(16, ANCHORS * CLASSES, 3, 1, 1)
        self.box = nn.Conv2d(16, ANCHORS * 4, 3, 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x, maps = self.stem(image), []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            maps.append(lateral(x))
        for i in (1, 0):
            maps[i] = maps[i] + nn.functional.interpolate(maps[i + 1], size=maps[i].shape[-2:], mode="nearest")
        scores = torch.cat([self._rows(self.score(m), CLASSES) for m in maps], 1).softmax(-1)
        raw = torch.cat([self._rows(self.box(m), 4) for m in maps], 1)
        centre, size = raw[..., :2].sigmoid(), raw[..., 2:].exp() / 10
        boxes = torch.cat((centre - size / 2, centre + size / 2), -1)
        best, index = scores.amax(-1).topk(20, -1)
        return scores, boxes.gather(1, index[..., None].expand(-1, -1, 4)), best, maps[0]

    @staticmethod
    def _rows(x: Tensor, fields: int) -> Tensor:
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, fields)


def export_detector(path: Path) -> None:
    """The older exporter, opset 17, open sizes: the form most files in the world have."""
    torch.manual_seed(0)
    detector = Detector().eval()
    names = ["scores", "boxes", "confidence", "map"]
    torch.onnx.export(
        detector,
        (torch.zeros(1, 3, 64, 96),),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=names,
        dynamic_axes={"image": {0: "n", 2: "h", 3: "w"}},
    )
