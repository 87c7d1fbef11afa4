"""`edgevision devices`: which there are, whether they answer, what they say of themselves."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgevision.cli.options import Json

__all__ = ["register"]

DeviceArg = Annotated[
    str, typer.Argument(metavar="DEVICE", help="local, a name of devices.toml, ssh://host, adb://serial")
]

commands = typer.Typer(no_args_is_help=True, help="The devices that latency is measured on.")


@commands.command(name="list")
def list_devices(json: Json = False) -> None:
    """The devices of devices.toml. Connects to none."""
    from edgevision.cli.console import print_json, print_table
    from edgevision.devices.named import devices_file, read_devices
    from edgevision.manifest import as_json

    known = read_devices()
    if json:
        print_json({"file": str(devices_file()), "devices": [as_json(d) for d in known.values()]})
        return
    rows = [("local", "this machine", ""), *((d.name, d.address, "yes" if d.emulated else "") for d in known.values())]
    print_table(f"devices ({devices_file()})", ["name", "address", "emulated"], rows)


@commands.command()
def check(device: DeviceArg, json: Json = False) -> None:
    """Connect, make a work folder, write, run and read back; say what is missing for a profile."""
    from edgevision.cli.console import print_facts, print_json

    document = _check(device)
    if json:
        print_json(document)
    else:
        print_facts(device, list(document.items()))


def _check(text: str) -> dict[str, Any]:
    import tempfile
    import time
    from pathlib import Path

    from edgevision.devices.named import find_device, open_device
    from edgevision.errors import DeviceError

    found = find_device(text)
    with open_device(found) as device, tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        sent, back = Path(folder) / "sent", Path(folder) / "back"
        sent.write_bytes(bytes(range(256)) * 4096)
        start = time.perf_counter()
        device.push(sent, "check")
        device.pull("check", back)
        seconds = time.perf_counter() - start
        if sent.read_bytes() != back.read_bytes():
            raise DeviceError(text, "a file came back changed", "check the connection")
        probe = device.probe()
        start = time.perf_counter()
        device.probe()
        round_trip = (time.perf_counter() - start) * 1e3
    return {
        "address": found.address,
        "emulated": found.emulated,
        "arch": probe.get("arch"),
        "cpu": probe.get("cpu"),
        "kernel": probe.get("kernel"),
        "round_trip_ms": round(round_trip, 1),
        "mib_per_s": round(2 / seconds, 1),
    }


@commands.command()
def probe(device: DeviceArg, json: Json = False) -> None:
    """Everything the device says of itself now: processor, clocks, governors, temperatures."""
    from edgevision.cli.console import print_facts, print_json
    from edgevision.devices.named import find_device, open_device

    with open_device(find_device(device)) as opened:
        found = dict(opened.probe())
    if json:
        print_json({"device": device, "probe": found})
    else:
        print_facts(device, list(found.items()))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands, name="devices")
