"""MSVMamba: the walks are what upstream flips and concatenates, the state carries over, both scans matter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import edgevision.models.multiscale_scan as multiscale_scan
from edgevision.models.multiscale_scan import MultiScaleScan, map_order, merge_walks, walk_order
from edgevision.proof import difference
from edgevision.registry import create_model
from edgevision.weights import randomise_


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def scans() -> MultiScaleScan:
    module = MultiScaleScan(32, 8)
    randomise_(module, seed=0)
    return module


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (4, 4), (7, 2)])
def test_walks_are_flips_and_transpositions(height: int, width: int) -> None:
    x = noise(2, 3, height, width)
    rows, columns = x.flatten(2), x.transpose(2, 3).flatten(2)
    wanted = torch.cat([rows.flip(2), columns, columns.flip(2)], 2)
    walked = rows[:, :, walk_order(height, width)]
    assert torch.equal(walked, wanted)
    assert torch.equal(walked[:, :, map_order(height, width)], rows.repeat(1, 1, 3))
    assert torch.allclose(merge_walks(walked, height, width), 3 * x)


def test_state_carries_over_from_walk_to_walk() -> None:
    """Changing the pixel where the first walk ends is seen by the second walk, which begins there."""
    module, x = scans(), noise(1, 8, 3, 4)
    other = x.clone()
    other[:, :, 0, 1] += 1.0  # met last but one by the first walk, fourth by the second
    with torch.no_grad():
        change = (module.scan_walks(x, 0) - module.scan_walks(other, 0)).abs().amax((0, 1))
    met = walk_order(3, 4).index(1)
    assert not change[:met].any()
    assert change[12] > 1e-4  # the first step of the second walk, at a pixel that did not change


@pytest.mark.parametrize("name", ["msvmamba_nano", "msvmamba_v3_tiny"])
def test_both_recurrences_and_their_order_matter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = create_model(name), noise(1, 3, 96, 96)
    randomise_(model, seed=0)
    with torch.no_grad():
        before = model(x).numpy()
    scan = multiscale_scan.selective_scan
    orders = multiscale_scan.walk_order

    def without(length: int) -> Any:
        def patched(u: Tensor, *arguments: Tensor, **options: Any) -> Tensor:
            if u.shape[2] == length:
                return u * arguments[4].unsqueeze(1)
            return scan(u, *arguments, **options)

        return patched

    full, half = 24 * 24, 3 * 12 * 12
    changes: list[tuple[str, Any]] = [
        ("selective_scan", without(full)),
        ("selective_scan", without(half)),
        ("walk_order", lambda height, width: orders(height, width)[::-1]),
    ]
    for attribute, value in changes:
        with monkeypatch.context() as patch, torch.no_grad():
            patch.setattr(multiscale_scan, attribute, value)
            assert difference(before, model(x).numpy()).max_abs_over_std > 0.01
