"""Networks that timm has exactly as their authors published them: cards name them, nothing is written twice.

Needs the extra `timm`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from edgevision.import_timm import import_timm

__all__ = ["Config", "build"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """A network of timm.

    Attributes:
        network: timm's name of it.
        in_chans, num_classes: as timm takes them.
    """

    network: str
    in_chans: int
    num_classes: int


def build(config: Config, *, deploy: bool = False) -> nn.Module:
    """The network of `config`, without weights; it has one form only."""
    del deploy
    model: nn.Module = import_timm().create_model(
        config.network, in_chans=config.in_chans, num_classes=config.num_classes
    )
    return model
