"""Fields of a card's config that the user gives in place of the card's: known names, and the card's own types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgevision.errors import UsageError

__all__ = ["ConfigValue", "configured"]

ConfigValue = bool | int | float | str | tuple["ConfigValue", ...]


def configured(
    model: str, card: Mapping[str, ConfigValue], overrides: Mapping[str, object], allowed: set[str]
) -> dict[str, ConfigValue]:
    """The card's config with `overrides`, which must name fields and have their types (a list stands for a tuple)."""
    unknown = sorted(set(overrides) - allowed)
    if unknown:
        raise UsageError(
            f"{model}({', '.join(unknown)}=…)",
            "the architecture has no such field",
            f"allowed fields: {', '.join(sorted(allowed))}",
        )
    config = dict(card)
    for name, given in overrides.items():
        config[name] = _typed(model, name, given, config[name])
    return config


def _typed(model: str, name: str, given: object, like: ConfigValue) -> ConfigValue:
    """`given` as a value of the type of the card's own value, `like`; ints are taken for floats."""
    value: ConfigValue | None = _converted(given, like)
    if value is None:
        raise UsageError(
            f"{model}({name}={given!r})",
            f"{name} takes a {type(like).__name__} such as {like!r}",
            f"give {name} a value of that type",
        )
    return value


def _converted(given: object, like: ConfigValue) -> Any:
    """`given` with the type of `like`, or None when it has another."""
    if isinstance(like, tuple):
        if not isinstance(given, (list, tuple)):
            return None
        each = [_converted(element, like[0]) for element in given]
        return None if None in each else tuple(each)
    if isinstance(like, float) and isinstance(given, int) and not isinstance(given, bool):
        return float(given)
    return given if type(given) is type(like) else None
