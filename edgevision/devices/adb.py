"""`adb://serial`: an Android device through the `adb` command.

adb's own exit code is not to be trusted: releases have ended with 0 when the device was lost while a command ran, and
after connecting to a port where nothing listens. The trailer in the output decides, as for every device.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgevision.errors import UsageError

__all__ = ["AdbTransport", "parse_adb"]

_SERIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:\[\]-]*")

_EXPLAINED = (
    ("more than one device", "several devices answer to this serial", "give the whole serial, see `adb devices`"),
    ("unauthorized", "it has not allowed this computer", "unlock it and accept the question on its screen"),
    ("offline", "it is offline", "adb disconnect, adb connect, or plug it in again"),
    ("not found", "there is no device of this serial", "see `adb devices`; `adb connect` for one on the network"),
    ("no devices", "there is no device", "see `adb devices`"),
    ("cannot connect to daemon", "adb's server does not run", "adb start-server"),
)


@dataclass(frozen=True, kw_only=True)
class AdbTransport:
    """A device that `adb devices` lists. Programs may run only under /data/local/tmp on a stock device."""

    serial: str
    base: str = "/data/local/tmp"

    def command(self, script: str) -> list[str]:
        """`adb shell` without a terminal: binary clean, streams apart."""
        return ["adb", "-s", self.serial, "shell", "-T", script]

    def explain(self, errors: str) -> tuple[str, str]:
        """From adb's own words."""
        low = errors.lower()
        for words, reason, mend in _EXPLAINED:
            if words in low:
                return reason, mend
        said = errors.strip().splitlines()
        return (said[-1] if said else "the connection ended"), "see `adb devices`"


def parse_adb(address: str) -> AdbTransport:
    """The transport an address names; UsageError when it is not of the form adb://serial."""
    serial = address.removeprefix("adb://")
    if serial == address or not _SERIAL.fullmatch(serial):
        raise UsageError(
            f"device {address}", "it is not of the form adb://serial", "serials are what `adb devices` lists"
        )
    return AdbTransport(serial=serial)
