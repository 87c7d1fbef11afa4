"""Softmax attention into attention by addition, in any network whose attention is of a known kind.

Known are those of our own PVT, and timm's of its ViT and PVT v2 families. Queries and keys share what was the queries'
projection; values and the last projection stay. Hashes are fitted to what some images bring to them. The answers change
much: the network is meant to be trained further (docs/shiftadd.md).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from edgevision.errors import ModelError
from edgevision.hashing import state_sha256
from edgevision.models.angular_attention import HashAttention, HashedAttention, LinearAngularAttention
from edgevision.models.softmax_attention import AttentionKV, AttentionQKV
from edgevision.shiftadd.hash_fit import fit_hashes_

if TYPE_CHECKING:
    from edgevision.stages.load import Loaded

__all__ = ["FORMS", "additive_attention_", "with_additive_attention"]

FORMS: Final = {"linear-angular": LinearAngularAttention, "hash": HashAttention}
_TIMM_QKV: Final = ("timm.layers.attention", "timm.models.vision_transformer")
_TIMM_KV: Final = "timm.models.pvt_v2"
#: Images that hashes are fitted to.
_IMAGES: Final = 8


class _InPlace(nn.Module):
    """Additive attention where another network calls its own, with a map's size or a mask beside the tokens."""

    def __init__(self, attention: HashedAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(
        self, x: Tensor, size: Any = None, *, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        del size
        if attn_mask is not None or is_causal:
            raise ModelError("additive attention", "it has no mask", "run the network without one")
        y: Tensor = self.attention(x)
        return y


@dataclass(frozen=True, kw_only=True)
class _Parts:
    heads: int
    q: tuple[Tensor, Tensor | None]
    v: tuple[Tensor, Tensor | None]
    proj: nn.Linear


def additive_attention_(model: nn.Module, images: Tensor, form: str = "linear-angular") -> list[str]:
    """Replace every softmax attention of `model` in place; the model is left in eval mode.

    Args:
        model: with attention over [B, L, C] tokens.
        images: what the model takes, some samples; hashes are fitted to them.
        form: `linear-angular` or `hash`; see `edgevision.models.angular_attention`.

    Returns:
        The names of what was replaced.

    Raises:
        ModelError: there is no attention of a known kind.
    """
    found = {name: parts for name, module in model.named_modules() if (parts := _parts(module)) is not None}
    if not found:
        raise ModelError(
            type(model).__name__,
            "it has no softmax attention of a known kind",
            "attention of our PVT and of timm's ViT and PVT v2 can be made additive; leave --attention out",
        )
    for name, parts in found.items():
        path, _, last = name.rpartition(".")
        setattr(model.get_submodule(path), last, _InPlace(_as_additive(parts, form)))
    fit_hashes_(model, images)
    return list(found)


def with_additive_attention(loaded: Loaded, form: str, data: str | None) -> tuple[Loaded, list[str]]:
    """A loaded model with its attention replaced, in place, and the names of what was.

    Args:
        loaded: of one image input.
        form: see `additive_attention_`.
        data: where the images come from, as `--data` names them; None takes random ones, and says so.

    Raises:
        ModelError: there is no attention of a known kind.
        DataError: of the images.
    """
    warnings = list(loaded.warnings)
    if data is None:
        images = next(iter(loaded.example(_IMAGES, 0).values()))
        warnings.append("the hashes of the attention were fitted to random images: give --data for real ones")
    else:
        from edgevision.calibration.open_data import open_data

        channels, height, width = loaded.inputs[0].shape
        source = open_data(data, (channels, height, width), loaded.info.preprocess)
        images = torch.stack([torch.from_numpy(s.image) for s in itertools.islice(source, _IMAGES)])
    names = additive_attention_(loaded.module, images, form)
    warnings.append("additive attention answers differently until the network is trained with it (docs/shiftadd.md)")
    changed = replace(
        loaded,
        digest=state_sha256(loaded.module.state_dict()),
        identity=f"{loaded.identity} attention {form}",
        warnings=tuple(warnings),
    )
    return changed, names


@torch.no_grad()
def _as_additive(parts: _Parts, form: str) -> HashedAttention:
    """With the projections of a softmax attention; the convolution along tokens is 0 until it is trained."""
    attention = FORMS[form](parts.proj.in_features, parts.heads)
    for linear, (weight, bias) in ((attention.to_qk, parts.q), (attention.to_v, parts.v)):
        _fill(linear, weight, bias)
    attention.proj = parts.proj
    if isinstance(attention, LinearAngularAttention):
        attention.dconv.weight.zero_()
    return attention


def _fill(linear: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    assert isinstance(linear, nn.Linear)
    linear.weight.copy_(weight)
    linear.bias.zero_() if bias is None else linear.bias.copy_(bias)


def _parts(module: nn.Module) -> _Parts | None:
    """What an attention consists of; None for any other module."""
    kind, of = type(module).__name__, type(module).__module__
    if isinstance(module, AttentionQKV) or (kind == "Attention" and of in _TIMM_QKV and _plain(module)):
        qkv: Any = module.qkv
        return _of(module, _share(qkv, 0, 3), _share(qkv, 2, 3))
    if isinstance(module, AttentionKV) or (kind == "Attention" and of == _TIMM_KV):
        q: Any = module.q
        kv: Any = module.kv
        return _of(module, (q.weight, q.bias), _share(kv, 1, 2))
    return None


def _plain(module: Any) -> bool:
    """Whether timm's attention has no norm, no gate and no other width than the tokens."""
    extras = [getattr(module, name, None) for name in ("q_norm", "k_norm", "norm", "gate")]
    plain = all(extra is None or isinstance(extra, nn.Identity) for extra in extras)
    return plain and module.qkv.out_features == 3 * module.qkv.in_features == 3 * module.proj.out_features


def _of(module: Any, q: tuple[Tensor, Tensor | None], v: tuple[Tensor, Tensor | None]) -> _Parts:
    heads = module.heads if hasattr(module, "heads") else module.num_heads
    return _Parts(heads=heads, q=q, v=v, proj=module.proj)


def _share(linear: Any, index: int, parts: int) -> tuple[Tensor, Tensor | None]:
    """Part `index` of the outputs of a layer that computes several at once."""
    bias = None if linear.bias is None else linear.bias.chunk(parts)[index]
    return linear.weight.chunk(parts)[index], bias
