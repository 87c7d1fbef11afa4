"""INT8 as explicit Q/DQ pairs in the ONNX graph: schemes, placement, and what it costs and gains."""
