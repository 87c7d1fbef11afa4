"""ShiftAddViT's three stages on a PVT v2, each starting from the weights of the one before.

    dense       softmax attention, dense layers           trained as usual
    additive    attention over hash codes                 queries and keys share the old queries' projection
    shifted     linear layers with powers of two          every weight the nearest one; or a mixture of both layers

After the paper's section 4 (arXiv 2306.06446). The hashes are fitted once, to the dense network's queries on some images
(`hash_fit.py`), and stay fixed while the rest is trained.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevision.models.angular_attention import LinearAngularAttention
from edgevision.models.primitive_mixture import Mixture
from edgevision.models.pvt_v2 import PyramidVisionTransformerV2
from edgevision.models.shift_linear import ShiftLinear
from edgevision.models.softmax_attention import AttentionKV, AttentionQKV
from edgevision.shiftadd.hash_fit import fit_hashes_

__all__ = ["additive_from", "mix_", "shift_"]


@torch.no_grad()
def additive_from(
    dense: PyramidVisionTransformerV2, additive: PyramidVisionTransformerV2, images: Tensor
) -> PyramidVisionTransformerV2:
    """`additive` (form `linangular`) with the weights of `dense` (form `sra`), its hashes fitted to `images`."""
    old = dict(dense.named_modules())
    for name, module in additive.named_modules():
        source = old.get(name)
        if isinstance(source, AttentionKV):
            _take_attention(module, source)
        elif source is not None and isinstance(module, (nn.Linear, nn.Conv2d, nn.LayerNorm)):
            module.load_state_dict(source.state_dict())
    fit_hashes_(additive, images)
    return additive


def _take_attention(module: nn.Module, source: AttentionKV) -> None:
    keys_and_values = source.kv.weight, source.kv.bias
    if isinstance(module, AttentionQKV):
        module.qkv.weight.copy_(torch.cat([source.q.weight, keys_and_values[0]]))
        module.qkv.bias.copy_(torch.cat([source.q.bias, keys_and_values[1]]))
    elif isinstance(module, LinearAngularAttention):
        weight, bias = (part.chunk(2)[1] for part in keys_and_values)
        module.to_qk.load_state_dict(source.q.state_dict())
        module.to_v.load_state_dict({"weight": weight, "bias": bias})


def shift_(model: nn.Module, bits: int = 5) -> nn.Module:
    """Every linear layer of the blocks becomes a `ShiftLinear`, in place; patch embeddings and the head stay."""
    for parent, name, dense in _linear_layers(model):
        setattr(parent, name, _shifted(dense, bits))
    return model


def mix_(model: nn.Module) -> nn.Module:
    """Every linear layer of the blocks becomes a mixture of itself and its shifted form, in place."""
    for parent, name, dense in _linear_layers(model):
        setattr(parent, name, Mixture(dense.in_features, dense, _shifted(dense)))
    return model


def _shifted(dense: nn.Linear, bits: int = 5) -> ShiftLinear:
    shifted = ShiftLinear(dense.in_features, dense.out_features, bias=dense.bias is not None, bits=bits)
    shifted.take(dense)
    return shifted


def _linear_layers(model: nn.Module) -> list[tuple[nn.Module, str, nn.Linear]]:
    found = []
    for path, parent in model.named_modules():
        if not path.startswith("block"):
            continue
        found += [(parent, name, child) for name, child in parent.named_children() if isinstance(child, nn.Linear)]
    return found
