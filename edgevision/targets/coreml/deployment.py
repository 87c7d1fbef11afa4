"""Deployment targets: the oldest system a package runs on, and so the newest operation it may use."""

from __future__ import annotations

from typing import Any

from edgevision.errors import UsageError

__all__ = ["DEPLOYMENTS", "check_deployment", "deployment", "opset_name"]

#: As typed, to the iOS release whose operations it has. ML programs begin with iOS 15.
DEPLOYMENTS = {f"iOS{n}": n for n in range(15, 19)} | {f"macOS{n}": n + 3 for n in range(12, 16)}


def check_deployment(name: str) -> None:
    """UsageError where there is no deployment target of that name."""
    if name not in DEPLOYMENTS:
        raise UsageError(
            f"--minimum-deployment-target {name}",
            "there is no such deployment target",
            f"one of: {', '.join(DEPLOYMENTS)}",
        )


def deployment(name: str) -> Any:
    """The `coremltools.target` of a deployment target.

    Raises:
        UsageError: there is none of that name.
    """
    check_deployment(name)
    import coremltools as ct

    return ct.target[f"iOS{DEPLOYMENTS[name]}"]


def opset_name(name: str) -> str:
    """How a specification names the operation set of a deployment target: CoreML5 is iOS 15."""
    return f"CoreML{DEPLOYMENTS[name] - 10}"
