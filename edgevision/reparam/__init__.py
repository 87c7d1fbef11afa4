"""Structural re-parameterization over ONNX graphs: one equation a file, each application proven."""

from edgevision.reparam.reparameterize import ReparamOptions, reparameterize

__all__ = ["ReparamOptions", "reparameterize"]
