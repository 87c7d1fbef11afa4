"""The path, one stage a file: load, capture, simplify, reparam, compile, verify.

A stage is a pure function `stage(input, options) -> (output, Record)`.
"""
