"""The operators as a page of Markdown, written from their schemas: `python -m edgevision.ops.describe`."""

from __future__ import annotations

import sys

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES, VERSION, Attribute, Operator, Tensor, operators

__all__ = ["page"]

_HEAD = f"""# Operators

*Written from the schemas by `python -m edgevision.ops.describe > docs/operators.md`; a test compares.*

Domain `{DOMAIN}`, version {VERSION}. Tensors of one node have one floating-point type, unless another is named. Every node also carries the string
attributes {" and ".join(f'`{name}="{value}"`' for name, value in PLUGIN_ATTRIBUTES.items())}, by which TensorRT finds a
plugin. An absent optional input is an empty one. A model carries a body for every node as a function in standard ONNX
operators, so it runs where no kernel is loaded; see [bodies](bodies.md).
"""


def page() -> str:
    """The page, with a final newline."""
    return "\n".join([_HEAD, *(_section(operators()[name]) for name in sorted(operators()))])


def _section(operator: Operator) -> str:
    lines = [
        f"## {operator.name}",
        "",
        operator.doc,
        "",
        _origin(operator),
        f"Bodies: {', '.join(f'`{form}`' for form in operator.bodies)}.",
        "",
        "| input | shape | |",
        "|---|---|---|",
        *(_tensor(tensor) for tensor in operator.inputs),
        "",
        "| output | shape | |",
        "|---|---|---|",
        *(_tensor(tensor) for tensor in operator.outputs),
        "",
    ]
    if operator.attributes:
        lines += ["| attribute | kind | default | |", "|---|---|---|---|"]
        lines += [*(_attribute(attribute) for attribute in operator.attributes), ""]
    return "\n".join(lines)


def _origin(operator: Operator) -> str:
    if operator.torch_op is None:
        return "Fused: no model writes it, passes put it into graphs for runtimes that have its kernel."
    stem = operator.torch_op.split("::")[1]
    qualified = operator.torch_op.replace("::", ".")
    return f"From PyTorch: `edgevision.ops.{stem}.{stem}`, the custom operator `torch.ops.{qualified}`."


def _tensor(tensor: Tensor) -> str:
    return f"| `{tensor.name}`{' (optional)' if tensor.optional else ''} | {tensor.shape} | {_remark(tensor)} |"


def _remark(tensor: Tensor) -> str:
    return tensor.doc if tensor.type == "T" else f"{tensor.type}: {tensor.doc}"


def _attribute(attribute: Attribute) -> str:
    return f"| `{attribute.name}` | {attribute.kind} | `{attribute.default!r}` | {attribute.doc} |"


if __name__ == "__main__":
    sys.stdout.write(page())
