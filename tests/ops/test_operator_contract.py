"""What holds for every operator that the registry finds: one schema, and everything else agrees with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx.defs
import onnx_ir as ir
import pytest
import torch
from single_node import model_of, run

from edgevision.ops import describe
from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES, Operator, operators
from edgevision.passes.float64 import run_in_float64
from edgevision.proof import difference

OPERATORS = list(operators().values())
FORMS = [(operator, form) for operator in OPERATORS for form in operator.bodies]
WRITTEN = [operator for operator in OPERATORS if operator.torch_op]  # the others come from passes
each_written = pytest.mark.parametrize("operator", WRITTEN, ids=lambda operator: operator.name)
each = pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)


def torch_op(operator: Operator) -> Any:
    assert operator.torch_op is not None
    namespace, name = operator.torch_op.split("::")
    return getattr(getattr(torch.ops, namespace), name).default


def example(operator: Operator) -> tuple[list[np.ndarray], dict[str, Any]]:
    return operator.example(np.random.default_rng(0))


def torch_options(operator: Operator, attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes as the torch operator spells them: its flags are bools, its int lists are lists."""
    kinds = {a.name: str(a.type) for a in torch_op(operator)._schema.arguments}
    return {
        name: bool(value) if kinds[name] == "bool" else list(value) if isinstance(value, tuple) else value
        for name, value in attributes.items()
    }


@each
def test_the_name_is_no_onnx_operators(operator: Operator) -> None:
    """TensorRT's parser ignores the domain: a name of ONNX's would silently mean ONNX's operator."""
    assert operator.name not in {schema.name for schema in onnx.defs.get_all_schemas_with_history()}


@each_written
def test_the_torch_schema_is_the_schema(operator: Operator) -> None:
    arguments = torch_op(operator)._schema.arguments
    tensors = [a for a in arguments if not a.kwarg_only]
    assert [a.name for a in tensors] == [t.name for t in operator.inputs]
    assert [str(a.type).startswith("Optional") for a in tensors] == [t.optional for t in operator.inputs]
    options = [a for a in arguments if a.kwarg_only]
    assert [a.name for a in options] == [a.name for a in operator.attributes]
    for option, attribute in zip(options, operator.attributes, strict=True):
        default = tuple(option.default_value) if attribute.kind == "ints" else option.default_value
        assert default == attribute.default


@pytest.mark.parametrize(("operator", "form"), FORMS, ids=lambda value: getattr(value, "name", value))
def test_a_body_has_the_schemas_inputs_and_declares_its_attributes(operator: Operator, form: str) -> None:
    (body,) = model_of(operator, *example(operator), form).functions.values()
    assert (body.domain, body.name) == (DOMAIN, operator.name)
    assert [value.name for value in body.inputs] == [tensor.name for tensor in operator.inputs]
    assert set(body.attributes) == {a.name for a in operator.attributes} | set(PLUGIN_ATTRIBUTES)
    assert {node.domain for node in body.all_nodes()} == {""}


@pytest.mark.parametrize(("operator", "form"), FORMS, ids=lambda value: getattr(value, "name", value))
def test_body_torch_and_reference_agree_on_the_example(operator: Operator, form: str) -> None:
    inputs, attributes = example(operator)
    wanted = operator.reference(inputs, attributes)[0]
    if operator.torch_op:
        torched = torch_op(operator)(*map(torch.from_numpy, inputs), **torch_options(operator, attributes))
        assert difference(wanted, torched.numpy()).max_abs_over_std <= 1e-5
    assert difference(wanted, run(operator, inputs, attributes, form)).max_abs_over_std <= 1e-5


@each
def test_a_graph_with_it_runs_in_float64(operator: Operator) -> None:
    inputs, attributes = example(operator)
    model = model_of(operator, inputs, attributes)
    feed = {str(value.name): array for value, array in zip(model.graph.inputs, inputs, strict=True)}
    exact = run_in_float64(model, feed)
    kind = np.float64 if operator.outputs[0].type == "T" else inputs[0].dtype  # integers stay what they are
    assert exact is not None and exact[0].dtype == kind
    assert difference(operator.reference(inputs, attributes)[0], exact[0]).max_abs_over_std <= 1e-12


@each_written
def test_the_fake_operator_has_the_real_shape_with_symbolic_sizes(operator: Operator) -> None:
    inputs, attributes = example(operator)
    options = torch_options(operator, attributes)
    real = torch_op(operator)(*map(torch.from_numpy, inputs), **options)
    meta = torch_op(operator)(*(torch.from_numpy(t).to("meta") for t in inputs), **options)
    assert meta.shape == real.shape
    assert meta.dtype == real.dtype


class OneOperator(torch.nn.Module):
    """Calls one operator, its first input negated so that something else is in the graph."""

    def __init__(self, operator: Operator, options: dict[str, Any]) -> None:
        super().__init__()
        self.op, self.options = torch_op(operator), options

    def forward(self, first: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.op(-first, *others, **self.options)
        return result


@each_written
def test_export_and_compile_see_one_operator(operator: Operator) -> None:
    inputs, attributes = example(operator)
    module = OneOperator(operator, torch_options(operator, attributes)).eval()
    arguments = tuple(map(torch.from_numpy, inputs))
    exported = torch.export.export(module, arguments)
    targets = [node.target for node in exported.graph.nodes if node.op == "call_function"]
    assert targets.count(torch_op(operator)) == 1
    assert len(targets) == 2
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(*arguments), module(*arguments))


@each_written
def test_the_exporter_writes_one_node_with_every_attribute(operator: Operator) -> None:
    inputs, attributes = example(operator)
    arguments = tuple(map(torch.from_numpy, inputs))
    program = torch.onnx.export(
        OneOperator(operator, torch_options(operator, attributes)).eval(),
        arguments,
        dynamo=True,
        opset_version=20,
        custom_translation_table={torch_op(operator): operator.translate},
        verbose=False,
    )
    assert program is not None
    graph = program.model.graph
    (node,) = [node for node in graph if node.domain == DOMAIN]
    assert node.op_type == operator.name
    assert len(list(graph)) == 2
    written = {name: attribute.value for name, attribute in node.attributes.items()}
    expected = {**operator.attribute_values(attributes), **PLUGIN_ATTRIBUTES}
    assert {name: tuple(v) if isinstance(v, list | tuple) else v for name, v in written.items()} == expected
    assert node.outputs[0].shape == ir.Shape(module_shape(operator))


def module_shape(operator: Operator) -> tuple[int, ...]:
    inputs, attributes = example(operator)
    return operator.reference(inputs, attributes)[0].shape


def test_the_page_of_operators_is_up_to_date() -> None:
    written = Path(__file__).parents[2] / "docs" / "operators.md"
    assert written.read_text("utf-8") == describe.page(), "run: python -m edgevision.ops.describe > docs/operators.md"
