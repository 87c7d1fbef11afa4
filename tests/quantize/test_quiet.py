"""Networks that answer with an image leave in float what can be seen; the calibrator is the one with the least noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from small_nets import Build, pictures, residual_net

from edgevision.cache import Cache
from edgevision.calibration.calibrators import CANDIDATES, Method
from edgevision.calibration.examine import examine
from edgevision.quantize.builder import Builder, calibrated_builder
from edgevision.quantize.calibrate import CalibrationSet
from edgevision.quantize.noise import Noise
from edgevision.quantize.quantize import Outcome, quantize
from edgevision.quantize.quiet import LIMIT, answers_with_image, quieted
from edgevision.quantize.recovery import Recovery
from edgevision.quantize.scheme import find_scheme

#: Reads the trunk, one channel of which is three hundred times as large as the others.
LOUD = "Conv_8"


def trunk_net() -> ir.Model:
    """Two residual blocks, a convolution of their trunk, and what it adds to the image."""
    net = Build()
    loud = np.ones((1, 16, 1, 1), np.float32)
    loud[0, 3] = 300
    trunk = net.op("Mul", net.conv(net.image, 16, 3), net.constant(loud))
    quiet = net.constant((1 / loud).astype(np.float32))
    for _ in range(2):
        trunk = net.op("Add", trunk, net.conv(net.op("Mul", trunk, quiet), 16, 16, 1))
    mixed = net.conv(trunk, 16, 16, 1)
    weight = net.nodes[-1].inputs[1]
    assert weight is not None and weight.const_value is not None
    values = weight.const_value.numpy().copy()
    values[:, 3] /= 300  # what is large there is not more important
    weight.const_value = ir.tensor(values, name=weight.name)
    detail = net.op("Mul", net.op("Tanh", net.conv(mixed, 3, 16)), net.constant(np.array(0.05, np.float32)))
    return net.model(net.op("Add", net.image, detail))


def calibration(method: Method | None = None) -> CalibrationSet:
    source = pictures()
    return CalibrationSet(source=source, examined=examine(source, None), method=method, limit=8)


def builder_of(model: ir.Model, method: Method | None = None, *, adaround: bool = True) -> Builder:
    return calibrated_builder(
        model,
        find_scheme("ort_x86_vnni", "ort"),
        calibration(method),
        exclude=(),
        recovery=Recovery(adaround=adaround),
        cache=Cache(root=None),
        report=lambda _: None,
    )


def test_what_spoils_the_image_stays_float_and_nothing_else() -> None:
    model = trunk_net()
    assert answers_with_image(model)
    builder = builder_of(model, "min-max")
    whole = builder.build(())
    with Noise(builder.model, calibration()) as noise:
        assert noise.of(whole.model) > 4 * LIMIT
        form = quieted(builder, whole, noise)
        assert noise.of(form.model) <= LIMIT
        assert form.excluded == (LOUD,)
        assert quieted(builder, form, noise) is form


def test_quantize_keeps_images_quiet_and_leaves_classes_alone() -> None:
    def outcome(model: ir.Model) -> Outcome:
        return quantize(model, find_scheme("trt", "trt"), calibration(), cache=Cache(root=None), report=lambda _: None)

    assert LOUD in outcome(trunk_net()).excluded
    assert not answers_with_image(residual_net())
    assert outcome(residual_net()).excluded == ()


@pytest.mark.parametrize(("net", "taken"), [(trunk_net, "mse"), (residual_net, "min-max")])
def test_the_calibrator_with_the_least_noise_is_taken(net: Callable[[], ir.Model], taken: Method) -> None:
    """Of forms with weights rounded to the nearest; which way they are rounded comes after."""
    model, found = net(), {}
    with Noise(model, calibration()) as noise:
        for method in CANDIDATES:
            found[method] = noise.of(builder_of(model, method, adaround=False).build(()).model)
    assert min(found, key=found.__getitem__) == taken
    assert builder_of(model).calibrator == taken
