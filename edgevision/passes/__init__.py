"""Passes over ONNX graphs, one effect a file."""
