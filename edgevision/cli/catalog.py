"""`edgevision models`, `ops`, `targets`: what there is."""

from __future__ import annotations

import typer

from edgevision.cli.options import Json

__all__ = ["register"]


def models(json: Json = False) -> None:
    """List the zoo."""
    from edgevision.cli.console import print_json, print_table
    from edgevision.manifest import as_json
    from edgevision.registry import aliases, variants

    if json:
        print_json({"models": [as_json(v) for v in variants().values()], "aliases": dict(aliases())})
        return
    short = {name: alias for alias, name in aliases().items()}
    rows = [
        (
            v.name,
            short.get(v.name, ""),
            f"{v.params / 1e6:.1f}",
            "x".join(map(str, v.input_size)),
            "" if v.top1 is None else f"{v.top1:.1f}",
            v.paper.removeprefix("https://arxiv.org/abs/"),
        )
        for v in variants().values()
    ]
    print_table("the zoo", ["name", "alias", "M params", "input", "top-1", "arXiv"], rows)


def ops(json: Json = False) -> None:
    """List the custom operators."""
    from edgevision import native
    from edgevision.cli.console import print_json, print_table
    from edgevision.ops.operator import operators

    kernels = native.simd() if native.why_not() is None else None
    if json:
        listed = [{"name": o.name, "torch_op": o.torch_op, "bodies": list(o.bodies)} for o in operators().values()]
        print_json({"operators": listed, "kernels": kernels})
        return
    rows = [
        (o.name, o.torch_op or "fused by passes", ", ".join(o.bodies), kernels or "none, bodies serve")
        for o in operators().values()
    ]
    print_table("custom operators (domain edgevision, version 1)", ["name", "torch op", "bodies", "CPU kernel"], rows)


def targets(json: Json = False) -> None:
    """List the targets and what each lacks on this machine."""
    from edgevision.cli.console import print_json, print_table
    from edgevision.targets.target import targets as all_targets

    rows = []
    for entry in all_targets().values():
        missing = entry.create().why_not()
        state = "ready" if missing is None else f"{missing.reason}; {missing.mend}"
        rows.append((entry.name, entry.summary, ", ".join(entry.precisions), state))
    if json:
        print_json({"targets": [dict(zip(("name", "summary", "precisions", "state"), r, strict=True)) for r in rows]})
    else:
        print_table("targets", ["name", "what it is", "precisions", "here"], rows)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(models)
    app.command()(ops)
    app.command()(targets)
