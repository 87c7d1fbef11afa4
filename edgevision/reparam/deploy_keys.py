"""From a merged graph back to a checkpoint: the values under the keys of the architecture's own deploy form.

The zoo builds the deploy form; its graph, captured with random weights and merged in its turn, has the structure of the
merged training form (`isomorphism`) and shows which constant stands for which key, re-ordered how: a constant is a
parameter when it holds its numbers as they are, reshaped, or transposed. Nothing here knows any architecture.

Where the algebra merges more than the architecture's authors did, their deploy form has a scale or shift that the merged
graph has not: it gets the value that does nothing, 1 or 0, what it did being in the weights beside it. Or a residual
that the merged graph has in a kernel: it is taken out again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.errors import GraphError
from edgevision.reparam.isomorphism import paired_constants
from edgevision.reparam.matching import Floats, constant_array
from edgevision.reparam.reparameterize import reparameterize

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["deploy_state"]

Array = NDArray[np.generic]
_NAMED = 5  # keys an error shows


def deploy_state(name: str, merged: ir.Model, model_args: Mapping[str, Any] | None = None) -> dict[str, Tensor]:
    """State dict of the deploy form of the zoo's `name`, with the values of its merged training form.

    Args:
        name: a zoo name.
        merged: what `reparameterize` made of the training form's graph.
        model_args: the overrides the training form was created with.

    Raises:
        UsageError: the architecture has no deploy form.
        GraphError: the merged graph is not built like the deploy form, or lacks some of its parameters.
    """
    import torch

    from edgevision.random_weights import randomise_
    from edgevision.registry import create_model

    module = create_model(name, deploy=True, **(model_args or {}))
    randomise_(module)
    graph = _captured(name, module, merged)
    state = {key: parameter.numpy() for key, parameter in module.state_dict().items()}
    found = _neutralised(state, graph)
    reference = reparameterize(graph.clone()).model
    pairs = paired_constants(merged.graph, reference.graph)
    arrays = [(constant_array(ours), constant_array(theirs)) for ours, theirs in pairs]
    for key in state.keys() - found.keys():
        views = (_view(theirs, state[key], ours) for ours, theirs in arrays)
        view = next((view for view in views if view is not None), None)
        if view is not None:
            found[key] = view
    found |= _without_residuals({key: state[key] for key in state.keys() - found.keys()}, graph, pairs)
    missing = [key for key in state if key not in found]
    if missing:
        named = ", ".join(missing[:_NAMED])
        raise GraphError(f"the merged graph of {name}", f"it holds no values for {len(missing)} keys: {named}")
    return {key: torch.from_numpy(np.ascontiguousarray(found[key])) for key in state}


def _captured(name: str, module: nn.Module, merged: ir.Model) -> ir.Model:
    """The graph of the deploy form for inputs like those of the merged graph."""
    from edgevision.hashing import state_sha256
    from edgevision.manifest import ModelInfo
    from edgevision.stages.capture import CaptureOptions, capture
    from edgevision.stages.create import InputSpec
    from edgevision.stages.load import Loaded
    from edgevision.stages.samples import samples_of_module

    inputs = [
        InputSpec(name=value.name or "x", shape=tuple(d for d in tuple(value.shape or ())[1:] if isinstance(d, int)))
        for value in merged.graph.inputs
    ]
    digest = state_sha256(module.state_dict())
    info = ModelInfo(
        name=name,
        variant=f"{name} (deploy form)",
        params=sum(parameter.numel() for parameter in module.parameters()),
        input_shape=("batch", *inputs[0].shape),
        weights={"source": "random", "key": None, "sha256": digest},
        preprocess=None,
    )
    loaded = Loaded(
        module=module, info=info, inputs=tuple(inputs), digest=digest, identity=info.variant, cacheable=False
    )
    return capture(loaded, CaptureOptions(), samples_of_module(loaded, [1], seed=0))[0]


def _neutralised(state: Mapping[str, Array], graph: ir.Model) -> dict[str, Array]:
    """Set the scales and shifts of `graph` that merging would absorb to 1 and 0; returns those values by key."""
    merged = reparameterize(graph.clone()).model.graph
    left = [constant_array(value) for value in merged.initializers.values()]
    found: dict[str, Array] = {}
    for key, numbers in state.items():
        if any(_view(constant, numbers, constant) is not None for constant in left):
            continue
        for value in graph.graph.initializers.values():
            kinds = {reader.op_type for reader in value.consumers()}
            scale, shift = kinds <= {"Mul", "Div"}, kinds <= {"Add", "Sub"}
            constant = constant_array(value)
            if kinds and (scale or shift) and _view(constant, numbers, constant) is not None:
                found[key] = np.full_like(numbers, 1 if scale else 0)
                value.const_value = ir.tensor(np.full_like(constant, 1 if scale else 0), name=value.name)
    return found


def _without_residuals(
    state: Mapping[str, Array], graph: ir.Model, pairs: Sequence[tuple[ir.Value, ir.Value]]
) -> dict[str, Array]:
    """Parameters that merging adds a constant to, such as the residual around a convolution: the merged one less that.

    A parameter is one of these when the merged constant of its name grows by exactly the parameter as that doubles.
    """
    if not state:
        return {}
    doubled = graph.clone()
    for key, numbers in state.items():
        if key in doubled.graph.initializers:
            doubled.graph.initializers[key].const_value = ir.tensor(2 * numbers, name=key)
    twice = reparameterize(doubled).model.graph.initializers
    found: dict[str, Array] = {}
    for ours, theirs in pairs:
        key = theirs.name or ""
        if key not in state or key not in twice:
            continue
        numbers, once = _float64(state[key]), _float64(constant_array(theirs))
        if once.shape == numbers.shape and np.allclose(_float64(constant_array(twice[key])) - once, numbers, atol=1e-5):
            found[key] = (_float64(constant_array(ours)) - (once - numbers)).astype(state[key].dtype)
    return found


def _float64(array: Array) -> Floats:
    return np.asarray(array, np.float64)


def _view(constant: Array, parameter: Array, numbers: Array) -> Array | None:
    """`numbers`, laid out like `constant`, in the layout of `parameter`; None where the constant is not the parameter."""
    if constant.size != parameter.size:
        return None
    if np.array_equal(constant.reshape(-1), parameter.reshape(-1)):
        return numbers.reshape(parameter.shape)
    if parameter.ndim == 2 and np.array_equal(constant.reshape(-1), parameter.T.reshape(-1)):
        return numbers.reshape(parameter.shape[::-1]).T
    return None
