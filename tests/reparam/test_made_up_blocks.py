"""Made-up blocks under random names: each merges and is equal, or is declined with a reason that is true of the graph."""

from __future__ import annotations

import re

import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up import BEFORE, blocks
from net import anonymise, merged

from edgevision.passes.graph_pass import Declined

LINEAR = ("Conv", "ConvTranspose", "AveragePool", "BatchNormalization", "Mul", "Div", "Neg", "MatMul", "Pad")


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(model=blocks(), seed=st.integers(0, 10**6))
def test_made_up_blocks_merge_or_say_why_not(model: ir.Model, seed: int) -> None:
    anonymise(model, seed)
    result = merged(model)
    graph = result.model.graph
    nodes = {str(node.name): node for node in graph}
    for row in result.declined:
        assert_true_of(row, nodes, graph)
    left = [node for node in graph if node.op_type in LINEAR and in_a_branch(node)]
    ends = [node for node in left if not any(reader in left for reader in node.outputs[0].consumers())]
    named = {name for row in result.declined for name in row.where}
    # All branches but the one that the others would have gone into are spoken of.
    silent = [describe(node) for node in ends if node.name not in named]
    assert len(silent) <= 1, "\n".join((*silent, "in", *(describe(node) for node in graph)))


def in_a_branch(node: ir.Node) -> bool:
    """Not so the norm of a sum that is not one convolution, nor a Pad that only onlookers read any more."""
    if BEFORE in node.metadata_props:
        return False
    if node.op_type == "Pad":
        return any(reader.op_type in LINEAR for reader in node.outputs[0].consumers())
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    return node.op_type != "BatchNormalization" or before is None or before.op_type not in ("Add", "Sub", "Sum")


def describe(node: ir.Node) -> str:
    inputs, attributes = (
        (value.name for value in node.inputs if value),
        {k: a.value for k, a in node.attributes.items()},
    )
    return f"{node.outputs[0].name} = {node.op_type}({', '.join(map(str, inputs))}) {attributes}"


def assert_true_of(row: Declined, nodes: dict[str, ir.Node], graph: ir.Graph) -> None:
    """The reason holds, looked up in the graph that was left."""
    there = [nodes[name] for name in row.where]
    pads = [node for node in there if any(node.attributes.get_ints("pads", ()))]
    if "times as much as" in row.reason:
        ratio = re.search(r"cost ([\d.]+) times", row.reason)
        assert ratio and float(ratio[1]) >= 1, row
    elif seen := re.search(r"'(\w+)'(?:, channels last,)? is (?:also read by|a graph output)", row.reason):
        (value,) = (v for node in graph for v in node.outputs if v.name == seen[1])
        assert value.is_graph_output() or len(value.uses()) > 1, row
    elif "does not count its padding" in row.reason:
        assert any(n.op_type == "AveragePool" and not n.attributes.get_int("count_include_pad", 0) for n in pads), row
    elif "rounds its output size up" in row.reason:
        assert any(node.attributes.get_int("ceil_mode", 0) for node in there), row
    elif "the border would change" in row.reason:
        transposed = [n for n in there if n.op_type == "ConvTranspose" and len(there) > 1]
        assert transposed or (pads and (there[0] is not pads[0] or len(pads) > 1)), row
    elif "fills with 0.5" in row.reason:
        assert any(node.op_type == "Pad" for node in there), row
    else:
        pytest.fail(f"nothing in these blocks calls for: {row}")
