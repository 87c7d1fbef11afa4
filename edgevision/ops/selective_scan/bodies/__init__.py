"""Bodies of the scan in standard ONNX operators; which one a runtime and a size get, and why, is in docs/bodies.md."""

from __future__ import annotations

from edgevision.ops.selective_scan.bodies.choice import canonical
from edgevision.ops.selective_scan.bodies.log_depth import log_depth
from edgevision.ops.selective_scan.bodies.radix8 import radix8
from edgevision.ops.selective_scan.bodies.serial import serial
from edgevision.ops.selective_scan.bodies.two_level import two_level
from edgevision.ops.selective_scan.bodies.whole import whole

__all__ = ["BODIES"]

BODIES = {
    "canonical": canonical,
    "serial": serial,
    "whole": whole,
    "two_level": two_level,
    "log_depth": log_depth,
    "radix8": radix8,
}
