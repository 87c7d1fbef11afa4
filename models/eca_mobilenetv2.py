"""ECA-Net on MobileNetV2 (Wang et al., CVPR 2020, arXiv 1910.03151): inverted residuals with channel attention.

State keys and shapes are the official ones. `k_size` has the attention's kernel for blocks narrower than 96 channels
and for the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgevision.models.channel_attention import ChannelAttention

__all__ = ["Config", "EcaMobileNetV2", "build"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """One ECA-MobileNetV2.

    Attributes:
        width: multiplier of all channels.
        stem: channels of the first convolution.
        stages: expansion, channels, blocks and first stride of each stage.
        last: channels of the last convolution, never narrowed.
        k_size: kernel of the channel attention below 96 channels, and from there on.
        drop: dropout before the classifier.
    """

    in_chans: int
    num_classes: int
    width: float
    stem: int
    stages: tuple[tuple[int, ...], ...]
    last: int
    k_size: tuple[int, ...]
    drop: float


def build(config: Config, *, deploy: bool = False) -> EcaMobileNetV2:
    """The network of `config`, which has one form only."""
    del deploy
    return EcaMobileNetV2(config)


def conv_relu6(channels_in: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm and ReLU6."""
    conv = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU6())


class InvertedResidual(nn.Module):
    """1x1 up, depthwise 3x3, 1x1 down, channel attention; added to the input where the shapes agree."""

    def __init__(self, channels_in: int, channels: int, stride: int, expansion: int, k_size: int) -> None:
        super().__init__()
        self.residual = stride == 1 and channels_in == channels
        hidden = channels_in * expansion
        layers: list[nn.Module] = [conv_relu6(channels_in, hidden, 1)] if expansion != 1 else []
        layers += [
            conv_relu6(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            ChannelAttention(k_size),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class EcaMobileNetV2(nn.Module):
    """[B, in_chans, H, W] -> logits [B, num_classes], or the pooled features for 0 classes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        before = int(config.stem * config.width)
        layers: list[nn.Module] = [conv_relu6(config.in_chans, before, 3, stride=2)]
        for expansion, nominal, blocks, first_stride in config.stages:
            channels = int(nominal * config.width)
            k_size = config.k_size[0] if nominal < 96 else config.k_size[1]
            for i in range(blocks):
                layers.append(InvertedResidual(before, channels, first_stride if i == 0 else 1, expansion, k_size))
                before = channels
        last = int(config.last * max(1.0, config.width))
        layers.append(conv_relu6(before, last, 1))
        # Upstream's name; the maps of a backbone are not returned by this network.
        self.features = nn.Sequential(*layers)
        linear = nn.Linear(last, config.num_classes) if config.num_classes else nn.Identity()
        self.classifier = nn.Sequential(nn.Dropout(config.drop), linear)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def initialise(module: nn.Module) -> None:
    """As upstream: convolutions by Kaiming's rule over the fan out, the classifier small."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)
