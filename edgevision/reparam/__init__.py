"""Structural re-parameterization over ONNX graphs: one equation a file, each application proven."""

from edgevision.reparam.explain import explain
from edgevision.reparam.int8_risk import RiskyWeight, risky_weights
from edgevision.reparam.reparameterize import ReparamOptions, reparameterize

__all__ = ["ReparamOptions", "RiskyWeight", "explain", "reparameterize", "risky_weights"]
