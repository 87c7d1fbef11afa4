"""Networks small enough to be exported in a second: `--model tiny:classifier`, `tiny:scanner`, and some that are ill.

The tests' stand-in for a user's own module; the path does not know them from a network of the zoo.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SIDE = 32
PREPROCESS = {
    "task": "classification",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "crop_pct": 0.875,
    "interpolation": "bicubic",
}


class Classifier(nn.Module):
    """Convolution, norm, ReLU, pooling, linear layer: something to merge and something to compute."""

    preprocess = PREPROCESS

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, classes)

    @property
    def example_inputs(self) -> Tensor:
        return torch.zeros(1, 3, SIDE, SIDE)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.stem(image))).mean((2, 3)))


class Scanner(Classifier):
    """The same with a wavelet level and a selective scan of two directions in the middle."""

    def __init__(self) -> None:
        super().__init__()
        state = 2
        self.filters = nn.Parameter(torch.randn(4, 1, 2, 2) / 2)
        self.B = nn.Parameter(torch.randn(2, state))
        self.A_log = nn.Parameter(torch.zeros(16, state))

    def forward(self, image: Tensor) -> Tensor:
        from edgevision.ops.dwt import dwt
        from edgevision.ops.idwt import idwt
        from edgevision.ops.selective_scan import selective_scan

        x = torch.relu(self.norm(self.stem(image)))
        x = idwt(torch.relu(dwt(x, self.filters)), self.filters)
        u = x.flatten(2)
        length = u.shape[-1]
        B = self.B[None, :, :, None].expand(u.shape[0], 2, 2, length)
        y = selective_scan(
            torch.cat((u, u), 1), torch.cat((u, u), 1), -self.A_log.exp(), B, B, delta_softplus=True, reverse=(0, 1)
        )
        return self.head((y[:, :8] + y[:, 8:]).mean(2))


def _seeded(make: Any, *arguments: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = make(*arguments)
        nn.init.uniform_(module.norm.running_var, 0.7, 1.7)
        nn.init.normal_(module.norm.running_mean, 0.0, 0.1)
    return module.eval()


def classifier(classes: int = 10) -> nn.Module:
    return _seeded(Classifier, classes)


def scanner() -> nn.Module:
    return _seeded(Scanner)


def with_nan() -> nn.Module:
    module = classifier()
    with torch.no_grad():
        module.get_parameter("head.weight")[0, 0] = float("nan")
    return module


def looks_at_values() -> nn.Module:
    class Looks(Classifier):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image if image.sum() > 0 else -image)

    return _seeded(Looks)


def leaves_torch() -> nn.Module:
    class Leaves(Classifier):
        def forward(self, image: Tensor) -> Tensor:
            return torch.from_numpy(super().forward(image).numpy() * 2)

    return _seeded(Leaves)


def always_noisy() -> nn.Module:
    class Noisy(Classifier):
        """As ShiftAddViT's noisy gate: it draws in eval mode too."""

        def forward(self, image: Tensor) -> Tensor:
            y = super().forward(image)
            return y + 0.5 * torch.randn_like(y)

    return _seeded(Noisy)


def raises_in_forward() -> nn.Module:
    class Raises(Classifier):
        def forward(self, image: Tensor) -> Tensor:
            raise ValueError("the forward of the user does not like this")

    return _seeded(Raises)


def returns_text() -> nn.Module:
    class Text(Classifier):
        def forward(self, image: Tensor) -> Any:
            return super().forward(image), "text"

    return _seeded(Text)


def raises_when_made() -> nn.Module:
    raise ValueError("the factory of the user does not like this")


def no_module() -> int:
    return 7


def greedy(width: int = 4096) -> nn.Module:
    """Activations far larger than its input or its weights."""

    class Greedy(nn.Module):
        example_inputs = torch.zeros(1, 1, 64, 64)

        def __init__(self) -> None:
            super().__init__()
            self.widen = nn.Conv2d(1, width, 1)

        def forward(self, image: Tensor) -> Tensor:
            return self.widen(image).mean((2, 3))

    return Greedy().eval()
