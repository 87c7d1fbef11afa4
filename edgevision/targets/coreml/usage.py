"""What a bundle's README says of running its package."""

from __future__ import annotations

from edgevision.manifest import Manifest

__all__ = ["usage"]

_SWIFT = """## Core ML, Swift

Drag `model.mlpackage` into an Xcode project, or compile it on the device (`MLModel.compileModel(at:)`):

```swift
import CoreML

let configuration = MLModelConfiguration()
configuration.computeUnits = .all
let model = try MLModel(contentsOf: compiledURL, configuration: configuration)
let input = try MLMultiArray(shape: [{dims}], dataType: .float32)
let features = try MLDictionaryFeatureProvider(dictionary: ["{input}": MLFeatureValue(multiArray: input)])
let output = try model.prediction(from: features).featureValue(for: "{output}")!.multiArrayValue!
```

Where this was made Core ML did not run: `proofs` in manifest.json says how the saved program was checked instead.
"""


def usage(manifest: Manifest) -> str:
    """Markdown with a Swift snippet for the first input and output."""
    dims = ", ".join(str(d or 1) for d in manifest.inputs[0]["shape"])
    return _SWIFT.format(dims=dims, input=manifest.inputs[0]["name"], output=manifest.outputs[0]["name"])
