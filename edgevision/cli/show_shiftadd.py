"""What people see of a ShiftAdd conversion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgevision.cli.console import print_table, stdout

if TYPE_CHECKING:
    from edgevision.shiftadd.account import Shifted
    from edgevision.shiftadd.energy import Energy
    from edgevision.shiftadd.on_device import Profiled

__all__ = ["show_shiftadd"]

_WORST = 5


def show_shiftadd(shifted: Shifted, *, explain: bool) -> None:
    """The layers (the worst ones, or all with `--explain`), then error, size, energy and time."""
    from rich.text import Text

    rows = sorted(shifted.layers, key=lambda layer: -layer.error)
    shown = shifted.layers if explain else rows[:_WORST]
    title = "converted" if explain else f"the {len(shown)} of {len(rows)} converted layers with the largest error"
    print_table(
        f"{shifted.info.variant}: {title}",
        ["layer", "module", "kind", "weights", "error", "bytes"],
        [
            (a.name, a.module, a.kind, f"{a.weights:,}", f"{a.error:.3f}", f"{a.bytes_before:,} → {a.bytes_after:,}")
            for a in shown
        ],
    )
    if explain:
        left = [*shifted.dense.items(), *shifted.declined.items()]
        print_table(f"{shifted.info.variant}: left dense", ["layer", "because"], left)
    for line in _summary(shifted):
        stdout().print(Text(line))
    if shifted.profiled:
        _show_profiled(shifted.profiled)


def _show_profiled(rows: Sequence[Profiled]) -> None:
    """What was measured on devices."""
    print_table(
        "measured on devices",
        ["device", "model", "target", "ms p50", "95 % interval", "energy, mJ an inference", "verdict"],
        [
            (
                row.device,
                row.model,
                " ".join(filter(None, (row.target, row.precision))),
                f"{row.p50_ms:.3g}",
                f"{row.interval[0]:.3g} to {row.interval[1]:.3g}",
                f"{row.energy_mj:.3g}" if row.energy_mj is not None else f"not known: {row.why_no_energy}",
                row.verdict,
            )
            for row in rows
        ],
    )


def _summary(shifted: Shifted) -> list[str]:
    code, speed, energy = shifted.code, shifted.speed, shifted.energy
    lines = [
        f"form {code.form}, {code.bits} bits, {code.width} stored a weight; {len(shifted.layers)} layers converted, "
        f"{len(shifted.dense)} left dense, {len(shifted.declined)} not convertible",
        f"answers on random inputs: {shifted.error.relative_l2:.3f} relative L2 from dense",
    ]
    if shifted.attention:
        lines.append(f"attention by addition in {len(shifted.attention)} places")
    if shifted.accuracy is not None:
        lines.append(f"top-1: {shifted.accuracy[0]:.2f} % dense, {shifted.accuracy[1]:.2f} % converted")
    if shifted.proof is not None:
        lines.append(f"packed against unpacked weights: {shifted.proof.max_abs_over_std:.1e} of std")
    lines.append(
        f"file: {shifted.bytes[0]:,} → {shifted.bytes[1]:,} bytes ({shifted.bytes[0] / shifted.bytes[1]:.1f} times smaller)"
    )
    lines += ["energy: unknown, the graph has open dimensions"] if energy is None else _energy(energy)
    lines.append(
        f"measured in ONNX Runtime, one thread: {speed.ratio:.2f} times dense's speed (95 % interval "
        f"{speed.interval[0]:.2f} to {speed.interval[1]:.2f}; {speed.first_ms:.2f} and {speed.second_ms:.2f} ms)"
    )
    if shifted.out is not None:
        lines.append(f"written: {shifted.out}")
    return lines


def _energy(energy: Energy) -> list[str]:
    lines = [
        f"energy by published costs per operation, µJ a pass: arithmetic {energy.dense:.1f} dense, "
        f"{energy.shifted:.1f} shifted, {energy.int8:.1f} INT8; weights from DRAM {energy.dense_dram:.1f}, "
        f"{energy.shifted_dram:.1f}, {energy.int8_dram:.1f}"
    ]
    moved = [energy.dense_moved, energy.shifted_moved, energy.int8_moved]
    known = [m for m in moved if m is not None]
    if len(known) == len(moved):
        lines.append(
            "moving all data once through an accelerator: " + ", ".join(f"{m.total:.1f}" for m in known)
            + " (registers " + ", ".join(f"{m.registers:.1f}" for m in known)
            + "; DRAM " + ", ".join(f"{m.dram:.1f}" for m in known) + ")"
        )  # fmt: skip
    return lines
