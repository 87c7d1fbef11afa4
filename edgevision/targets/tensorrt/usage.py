"""What a bundle's README says of running its engine."""

from __future__ import annotations

from edgevision.manifest import Manifest

__all__ = ["usage"]

_WITH_PLUGINS = """## TensorRT

`model.engine` holds our kernels as plugins, their machine code inside; TensorRT asks for their creators when it opens the engine, and those
are Python classes of edgevision:

```python
import numpy as np
import edgevision as ev

sample = np.load("sample.npz")
runner = ev.load(".")
print(abs(runner(sample["input.{input}"])[0] - sample["output.0"]).max())
```

An engine that needs nothing but TensorRT: export with `--no-plugins`. `engine.json` lists inputs, outputs, layers and the GPUs it was built for.
"""

_WITHOUT_PLUGINS = """## TensorRT

`model.engine` needs only the TensorRT that built it (`engine.json` names flavor and version, inputs, outputs and GPUs):

```python
import {package} as trt

runtime = trt.Runtime(trt.Logger())
with open("model.engine", "rb") as file:
    engine = runtime.deserialize_cuda_engine(file.read())
context = engine.create_execution_context()
# set_input_shape and set_tensor_address for each name in engine.json, then context.execute_async_v3(stream)
```
"""


def usage(manifest: Manifest) -> str:
    """Markdown, with plugins or without."""
    options = manifest.target["options"]
    if options.get("plugins", True) and manifest.graph.custom_ops:
        return _WITH_PLUGINS.format(input=manifest.inputs[0]["name"])
    enterprise = options.get("flavor") == "enterprise"
    return _WITHOUT_PLUGINS.format(package="tensorrt" if enterprise else "tensorrt_rtx")
