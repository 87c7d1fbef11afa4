"""`devices.toml`: the user's devices by name, and what cannot be found out by asking them.

    [jetson]
    address = "ssh://me@orin.local"
    emulated = false                            # declared, never guessed: an emulator fakes what a probe can see
    onnxruntime = "/usr/lib/libonnxruntime.so"  # on the device; pushed from here when `push_onnxruntime` names one

It lies in the user's configuration folder, or where EDGEVISION_DEVICES says.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

from edgevision.devices.adb import AdbTransport, parse_adb
from edgevision.devices.here import LOCAL, LocalTransport
from edgevision.devices.remote import RemoteDevice
from edgevision.devices.ssh import SshTransport, parse_ssh
from edgevision.errors import UsageError

__all__ = ["VARIABLE", "NamedDevice", "devices_file", "find_device", "open_device", "read_devices"]

VARIABLE = "EDGEVISION_DEVICES"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class NamedDevice:
    """One entry.

    Attributes:
        address: ssh://[user@]host[:port], adb://serial, or local for the runner on this machine.
        emulated: its latencies are functional tests, never results.
        ssh_config: file that replaces the user's own ssh config.
        folder: where on the device work folders go; empty for its TMPDIR or /tmp.
        onnxruntime: path of libonnxruntime.so on the device.
        push_onnxruntime: a libonnxruntime.so here, for the device's processor, pushed for each profile.
        runner: our runner here, built for the device's processor; empty for the one built for this machine.
        kernels: our kernel library here, built for the device's processor; empty as above.
        provider: execution provider of the ONNX Runtime there, XNNPACK, QNN, CUDA, NNAPI or another by its name, with
            options as in QNN:backend_path=libQnnHtp.so; empty for the CPU's.
        trtexec: NVIDIA's program on the device; empty for where JetPack puts it.
        python: a Python on the device that has TensorRT: engines are built and timed by it, with our plugins; empty for
            trtexec.
        cpu: first core to pin to, as many follow as there are threads; -1 for none.
        power: rails that add up to the board, joined by +; empty for what is known of Jetsons and the Raspberry Pi.
    """

    name: str
    address: str
    emulated: bool = False
    ssh_config: str = ""
    folder: str = ""
    onnxruntime: str = ""
    push_onnxruntime: str = ""
    runner: str = ""
    kernels: str = ""
    provider: str = ""
    trtexec: str = ""
    python: str = ""
    cpu: int = -1
    power: str = ""

    def transport(self) -> SshTransport | AdbTransport | LocalTransport:
        """How it is reached; UsageError when the address is none."""
        if self.address == LOCAL:
            return LocalTransport(base=self.folder)
        if self.address.startswith("ssh://"):
            found = parse_ssh(self.address, config=self.ssh_config)
            return replace(found, base=self.folder)
        if self.address.startswith("adb://"):
            adb = parse_adb(self.address)
            return AdbTransport(serial=adb.serial, base=self.folder or adb.base)
        raise UsageError(f"device {self.address}", "it is neither ssh://, adb:// nor local", "see docs/devices.md")


def devices_file() -> Path:
    """Where the user's devices are listed; need not exist."""
    import platformdirs

    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(platformdirs.user_config_dir("edgevision")) / "devices.toml"


def read_devices(path: Path | None = None) -> Mapping[str, NamedDevice]:
    """All named devices; none when there is no file.

    Raises:
        UsageError: not TOML, or an entry with an unknown key, a wrong type or no address.
    """
    file = path or devices_file()
    if not file.is_file():
        return {}
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(str(file), f"it cannot be read ({error})", "correct it; see docs/devices.md") from error
    return {name: _entry(file, name, entry) for name, entry in document.items()}


def _entry(file: Path, name: str, entry: object) -> NamedDevice:
    kinds = {f.name: type(f.default) if f.name != "address" else str for f in fields(NamedDevice) if f.name != "name"}
    thing = f"{file}, device {name}"
    if not isinstance(entry, dict) or not _NAME.fullmatch(name) or name == LOCAL:
        raise UsageError(
            thing, "it is not a table with a name of its own", 'write e.g. [jetson] and address = "ssh://…"'
        )
    for key, value in entry.items():
        if key not in kinds or type(value) is not kinds[key]:
            told = f"a {kinds[key].__name__} is wanted" if key in kinds else f"there are {', '.join(kinds)}"
            raise UsageError(thing, f"{key} = {value!r} is not understood ({told})", "see docs/devices.md")
    if "address" not in entry:
        raise UsageError(thing, "it has no address", 'add address = "ssh://host" or "adb://serial"')
    device = NamedDevice(name=name, **entry)
    device.transport()
    return device


def find_device(text: str) -> NamedDevice:
    """The device that `--device` names: one of devices.toml, or an address.

    Raises:
        UsageError: neither.
    """
    if "://" in text or text == LOCAL:
        device = NamedDevice(name=text, address=text)
        device.transport()
        return device
    known = read_devices()
    if text not in known:
        names = ", ".join([LOCAL, *known])
        raise UsageError(f"--device {text}", f"it is neither an address nor one of {names}", f"see {devices_file()}")
    return known[text]


@contextmanager
def open_device(device: NamedDevice) -> Iterator[RemoteDevice]:
    """Connect, lock it, and make a work folder.

    Raises:
        DeviceError: it cannot be reached, is in use, or lacks what is needed.
    """
    transport = device.transport()
    with tempfile.TemporaryDirectory(prefix="edgevision-", ignore_cleanup_errors=True) as folder:
        if isinstance(transport, SshTransport):
            transport = replace(transport, socket=f"{folder}/ssh")
        with RemoteDevice(device.name, transport, emulated=device.emulated) as opened:
            yield opened
