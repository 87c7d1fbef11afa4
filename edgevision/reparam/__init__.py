"""Structural re-parameterization over ONNX graphs: one equation a file, each application proven."""
