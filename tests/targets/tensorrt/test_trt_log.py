"""What is read from TensorRT's log."""

from __future__ import annotations

from edgevision.targets.tensorrt.build_log import Memory, failure_reason, layers, memory

TENSOR = "{{ Name: {name}, Dimensions: [2,8,20], Strides: [160,20,1], Datatype: {kind}, Format: (Linear) Row major }}"
X, Y = TENSOR.format(name="x", kind="Half"), TENSOR.format(name="y", kind="Float")
DETAILS = f"""Layers:
Name: call, LayerType: shape_call, Inputs: [], Constants: [], Outputs: [], TacticName: , StreamId: 0, Metadata: 
Name: scan_1, LayerType: custom_layer, Inputs: [ {X}, {X}], Constants: [], Outputs: [ {Y}], TacticName: , StreamId: 0, Metadata: [ONNX Layer: my scan]
Name: conv, LayerType: correlation, Inputs: [ {Y}], Constants: [ {X}], Outputs: [ {Y}], TacticName: t, StreamId: 0, Metadata: [ONNX Layer: a][ONNX Layer: b]

I/O Tensors:
 Name: x, IOMode: Input"""  # noqa: W291


def test_layers_have_types_and_the_nodes_they_came_from() -> None:
    found = layers(["something else", DETAILS])
    assert [layer.kind for layer in found] == ["shape_call", "custom_layer", "correlation"]
    assert found[0].precision == "none"
    assert found[1].inputs == ("Half", "Half")
    assert found[1].precision == "Float/Half"
    assert found[1].nodes == ("my scan",)
    assert found[2].nodes == ("a", "b")
    assert found[2].precision == "Float"


def test_memory_is_the_last_figure_of_each_kind() -> None:
    lines = ["[INFO] Max Scratch Memory: 1 bytes", "[INFO] Max Scratch Memory: 2560 bytes"]
    lines += ["[INFO] Total Activation Memory: 4096 bytes", "[INFO] Total Weights Memory: 12 bytes"]
    assert memory(lines) == Memory(weights=12, activation=4096, scratch=2560)
    assert memory(["nothing"]) == Memory()


def test_the_reason_is_the_first_error_that_is_one() -> None:
    log = """[INFO] all is well
[ERROR] [checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (cudaError 35: CUDA driver version is insufficient)
[ERROR] ModelImporter.cpp:140: While parsing node number 0 [Scan -> "y0"]:
[ERROR] second"""
    assert failure_reason(log) == 'While parsing node number 0 [Scan -> "y0"]:'
    assert failure_reason("[INFO] fine\n") == ""
