"""The README inside a bundle: how to run it without edgevision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgevision.manifest import Manifest
from edgevision.targets.target import targets

__all__ = ["bundle_readme"]

_PYTHON = """```python
import numpy as np
import onnxruntime as ort

options = ort.SessionOptions()
{register}session = ort.InferenceSession("{model}", options, providers=["CPUExecutionProvider"])

sample = np.load("sample.npz")  # an input with the outputs the original model computes for it
feeds = {{i.name: sample[f"input.{{i.name}}"] for i in session.get_inputs()}}
outputs = session.run(None, feeds)
print([o.shape for o in outputs], abs(outputs[0] - sample["output.0"]).max())
```
"""

_CPP = """```cpp
#include <onnxruntime_cxx_api.h>
#include <cstdio>
#include <vector>

int main() {{
  Ort::Env env;
  Ort::SessionOptions options;
  {register_cpp}Ort::Session session(env, "{model}", options);
  std::vector<int64_t> shape = {{{dims}}};
  std::vector<float> image({elements}, 0.5f);
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  auto input = Ort::Value::CreateTensor<float>(memory, image.data(), image.size(), shape.data(), shape.size());
  const char* inputs[] = {{"{input}"}};
  const char* outputs[] = {{"{output}"}};
  auto result = session.Run(Ort::RunOptions(), inputs, &input, 1, outputs, 1);
  std::printf("%f\\n", result[0].GetTensorData<float>()[0]);
}}
```
"""


def bundle_readme(manifest: Manifest) -> str:
    """Markdown: what this is, what was proven, and code that runs it."""
    parts = [_head(manifest), _inputs(manifest)]
    entry = targets()[manifest.target["name"]]
    if entry.usage is not None:
        parts.append(entry.usage(manifest))
    parts.append("## ONNX Runtime, Python\n\n" + _PYTHON.format(**_facts(manifest)))
    if len(manifest.inputs) == 1:
        parts.append("## ONNX Runtime, C++\n\n" + _CPP.format(**_facts(manifest)))
    return "\n".join(parts)


def _head(manifest: Manifest) -> str:
    parity = manifest.parity
    if parity.status == "verified":
        proof = (
            f"verified: {parity.samples} random inputs within {parity.max_abs_over_std:.1e} of the output's standard "
            f"deviation of {parity.reference}"
        )
    else:
        proof = f"{parity.status}: the runtime was not at hand where this was made; see `proofs` in manifest.json"
    lines = [
        f"# {manifest.model.variant} for {manifest.target['name']}, {manifest.target['precision']}",
        "",
        f"- weights: {manifest.model.weights['source']}",
        f"- parity: {proof}",
        f"- graph: {manifest.graph.nodes} nodes, opset {manifest.graph.opset}",
    ]
    if manifest.graph.custom_ops:
        ops = ", ".join(sorted(manifest.graph.custom_ops))
        lines.append(
            f"- custom operators: {ops}. The graph carries each one's body in standard operators, so plain ONNX Runtime "
            "runs it; with the kernel library it runs faster"
        )
    return "\n".join(lines) + "\n"


def _inputs(manifest: Manifest) -> str:
    lines = ["## Inputs and outputs", "", "| | name | shape | type |", "|---|---|---|---|"]
    for kind, tensors in (("input", manifest.inputs), ("output", manifest.outputs)):
        for t in tensors:
            dims = " x ".join("batch" if d is None else str(d) for d in t["shape"])
            lines.append(f"| {kind} | `{t['name']}` | {dims} | {t['dtype']} |")
    pre = manifest.model.preprocess
    if pre and "mean" in pre:
        lines += [
            "",
            f"Images are RGB in [0, 1], resized so that the crop is {pre.get('crop_pct', 1)} of the shorter side "
            f"({pre.get('interpolation', 'bilinear')}), cropped at the centre, then (x - mean) / std with mean "
            f"{list(pre['mean'])} and std {list(pre['std'])}; channels first.",
        ]
    return "\n".join(lines) + "\n"


def _facts(manifest: Manifest) -> Mapping[str, Any]:
    library = manifest.artifact.get("library")
    register = f'options.register_custom_ops_library("./{library}")\n' if library else ""
    register_cpp = f'options.RegisterCustomOpsLibrary("./{library}");\n  ' if library else ""
    dims = [1 if d is None else d for d in manifest.inputs[0]["shape"]]
    elements = 1
    for d in dims:
        elements *= d
    return {
        "model": _onnx_file(manifest),
        "register": register,
        "register_cpp": register_cpp,
        "dims": ", ".join(map(str, dims)),
        "elements": elements,
        "input": manifest.inputs[0]["name"],
        "output": manifest.outputs[0]["name"],
    }


def _onnx_file(manifest: Manifest) -> str:
    """The graph that ONNX Runtime runs fastest: the artifact where that is one, else the portable graph."""
    path = str(manifest.artifact["path"])
    return path if path.endswith(".onnx") else manifest.graph.path
