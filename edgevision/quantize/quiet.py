"""A network that answers with an image leaves those operators in float whose rounding can be seen.

A class survives noise that a picture does not. With e the noise and d the float network's own error, PSNR drops by
10 log10(1 + e/d): where d is 42 dB below the peak, 0.3 dB are lost to noise of LIMIT, and less where d is larger. What
makes most of it are few operators, those that read or write the residual trunk: its range is wide, and nothing
normalises it.

Noise of operators adds up, so they are looked for in groups: the noisiest is halved until it is one operator, which
stays float, and so on until what the groups left make together is within the limit. Then the whole form is measured.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision.quantize.builder import Builder, Form
from edgevision.quantize.noise import Noise
from edgevision.quantize.plan import node_label
from edgevision.quantize.restoration import scale_between

__all__ = ["LIMIT", "answers_with_image", "quieted"]

#: Of the peak's square: costs 0.3 dB of PSNR at 42 dB.
LIMIT = 10**-4.2 * (10**0.03 - 1)


def answers_with_image(model: ir.Model) -> bool:
    """Whether the graph takes an image and answers with one, of the same size or enlarged."""
    taken, given = (
        tuple(d if isinstance(d, int) else 1 for d in values[0].shape or ())
        for values in (model.graph.inputs, model.graph.outputs)
    )
    return scale_between(taken, given) is not None


def quieted(builder: Builder, form: Form, noise: Noise, limit: float = LIMIT) -> Form:
    """`form`, or the one that leaves as many of its operators in float as brings its noise within `limit`."""
    labels = [node_label(node) for node in form.plan.linear]
    whole = noise.of(form.model)
    groups, left, goal = [(whole, labels)], list[str](), limit
    result = form
    while whole > limit and groups:
        while groups and sum(power for power, _ in groups) > goal:
            noisiest = max(range(len(groups)), key=lambda i: groups[i][0])
            group = groups.pop(noisiest)[1]
            if len(group) == 1:
                left += group
                continue
            for part in (group[: len(group) // 2], group[len(group) // 2 :]):
                others = [label for label in labels if label not in part]
                groups.append((noise.of(builder.build((*form.excluded, *others)).model), part))
        result = builder.build((*form.excluded, *left))
        whole, goal = noise.of(result.model), goal * 0.7
    return result
