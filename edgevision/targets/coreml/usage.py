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
{given}let features = try MLDictionaryFeatureProvider(dictionary: ["INPUT": input])
let result = try model.prediction(from: features)
{taken}```
"""
_NOT_RUN = """
Where this was made Core ML did not run: `proofs` in manifest.json says how the saved program was checked instead.
"""
_ARRAY = """let array = try MLMultiArray(shape: [{dims}], dataType: .float32)
let input = MLFeatureValue(multiArray: array)
"""
#: Scaled and cropped by Vision's rules to the size that the package takes.
_IMAGE = """let constraint = model.modelDescription.inputDescriptionsByName["INPUT"]!.imageConstraint!
let input = try MLFeatureValue(imageAt: pictureURL, constraint: constraint)
"""
_SCORES = """let output = result.featureValue(for: "{output}")!.multiArrayValue!
"""
_LABEL = """let label = result.featureValue(for: model.modelDescription.predictedFeatureName!)!.stringValue
"""


def usage(manifest: Manifest) -> str:
    """Markdown with a Swift snippet for the first input and output."""
    from edgevision.targets.coreml.names import mil_name

    options, first = manifest.target["options"], manifest.inputs[0]
    inputs, outputs = mil_name(first["name"]), mil_name(manifest.outputs[0]["name"])
    given = _IMAGE if options["image_input"] else _ARRAY.format(dims=", ".join(str(d or 1) for d in first["shape"]))
    taken = _LABEL if options["labels"] else _SCORES.format(output=outputs)
    code = _SWIFT.format(given=given, taken=taken).replace("INPUT", inputs)
    return code if manifest.parity.status == "verified" else code + _NOT_RUN
