"""Calibration: data readers, streaming observers and the rules that turn a distribution into a range.

Installed as `edgevision.calibration`.
"""

if __name__ != "edgevision.calibration":
    raise ImportError("calibration is a subpackage: write `import edgevision.calibration`, not `import calibration`")
