"""The registry: names, aliases, cards without torch, overrides, and what it refuses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgevision.errors import ModelError, UsageError
from edgevision.registry import aliases, collect, create_model, find_variant, variants

CARD = """
family = "{family}"
title = "t"
paper = "p"
repository = "r"
license = "MIT"
task = "classification"
forms = ["training"]
least_side = 32
[preprocessing]
mean = [0.5]
std = [0.5]
crop_pct = 1.0
interpolation = "bicubic"
[config]
in_chans = 1
[[variants]]
name = "{name}"
input_size = [32, 48]
params = {params}
tolerance = 1e-4
"""


def card(name: str, family: str, params: int = 1) -> str:
    return CARD.format(name=name, family=family, params=params)


def test_cards_are_read_without_torch() -> None:
    """In a process of its own: listing and finding models must not load what takes seconds."""
    program = (
        "import sys; from edgevision.registry import aliases, find_variant, variants; "
        "assert len(variants()) > 5; find_variant('mobilemamba'); aliases(); "
        "print([m for m in ('torch', 'onnx', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_familys_bare_name_is_its_smallest_published_variant() -> None:
    assert find_variant("mobilemamba").name == "mobilemamba_t2"
    for family, name in aliases().items():
        members = [v for v in variants().values() if v.family == family and v.trained is None]
        assert variants()[name].params == min(v.params for v in members)


def test_unknown_name_lists_the_nearest_and_chooses_none() -> None:
    with pytest.raises(ModelError) as caught:
        find_variant("mobilmamba_t2")
    assert caught.value.exit_code == 3
    assert "mobilemamba_t2" in caught.value.mend
    with pytest.raises(ModelError, match="no such name"):
        find_variant("MobileMamba_T2")
    with pytest.raises(ModelError, match="no such name"):
        find_variant("")


def test_duplicate_names_are_rejected() -> None:
    with pytest.raises(RuntimeError, match="two variants are named net_a"):
        collect([("net", card("net_a", "net")), ("other", card("net_a", "other"))])
    with pytest.raises(RuntimeError, match="net_a names both"):
        collect([("net", card("net_a", "net")), ("other", card("other_b", "net_a"))])


def test_card_values_reach_the_variant() -> None:
    found = collect([("net", card("net_a", "net", params=7))])["net_a"]
    assert (found.architecture, found.params, found.input_shape) == ("net", 7, (1, 1, 32, 48))
    assert found.preprocess["task"] == "classification"
    assert found.preprocess["mean"] == (0.5,)


def test_overrides_replace_the_cards_fields() -> None:
    model = create_model("mobilemamba_t2", num_classes=3, in_chans=1, embed_dim=[64, 96, 128])
    state = model.state_dict()
    assert not model.training
    assert tuple(state["head.l.weight"].shape) == (3, 128)
    assert tuple(state["patch_embed.0.c.weight"].shape) == (8, 1, 3, 3)


def test_unknown_override_names_the_allowed_fields() -> None:
    with pytest.raises(UsageError) as caught:
        create_model("mobilemamba_t2", numclasses=3)
    assert caught.value.exit_code == 2
    assert "numclasses" in caught.value.thing
    assert "num_classes" in caught.value.mend


@pytest.mark.parametrize(
    ("field", "value"),
    [("num_classes", "10"), ("num_classes", 1.5), ("num_classes", True), ("embed_dim", 64), ("embed_dim", (64, "96"))],
)
def test_ill_typed_override_is_refused(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{field} takes"):
        create_model("mobilemamba_t2", **{field: value})  # type: ignore[arg-type]


def test_an_int_may_stand_for_a_float() -> None:
    assert create_model("mobilemamba_t2", ssm_ratio=1, drop_path=0).training is False
