"""Calibration data readers and range estimators. Installed as `edgevision.calibration`."""

if __name__ != "edgevision.calibration":
    raise ImportError("calibration is a subpackage: write `import edgevision.calibration`, not `import calibration`")
