"""Custom operators, one stem each: schema, float64 reference, torch op and ONNX body under the operator's name.

Every module (or folder) of this package that defines `OPERATOR` is an operator; nothing else registers it.
"""
