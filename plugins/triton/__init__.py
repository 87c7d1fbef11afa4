"""Triton kernels, one file per operator, with the operator's name."""
