"""`ssh://[user@]host[:port]`: OpenSSH as the user has set it up, with its config, agent and jump hosts.

Two things are not left to the user's config: nothing may ask (there is nobody to answer in the midst of a measurement),
and an unknown or changed host key ends the connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from shlex import quote

from edgevision.errors import UsageError

__all__ = ["SshTransport", "parse_ssh"]

_ADDRESS = re.compile(r"ssh://(?:(?P<user>[^@/]+)@)?(?P<host>\[[^\]/]+\]|[^:/@\[\]]+)(?::(?P<port>\d{1,5}))?/?")
#: First characters too: a name that begins with a dash would be read as an option.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_HOST = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9._:%-]*")

_EXPLAINED = (
    (
        "host identification has changed",
        "its host key has changed",
        "make sure it is the same device, then ssh-keygen -R",
    ),
    ("host key verification failed", "its host key is not known", "connect once by `ssh` and check the key it shows"),
    ("permission denied", "it refuses our key", "make `ssh` work without a password first (ssh-copy-id)"),
    ("could not resolve", "its name is not known", "check the host's name"),
    ("connection refused", "nothing listens there", "check that sshd runs there, and the port"),
    ("no route to host", "there is no way to it", "check the network"),
    ("timed out", "it does not answer", "check that it is on and the network"),
    ("bad configuration", "the ssh config has a mistake", "correct the file that ssh names"),
)


@dataclass(frozen=True, kw_only=True)
class SshTransport:
    """A host that `ssh` knows how to reach.

    Attributes:
        config: file that replaces the user's own ssh config.
        socket: where the first session listens for the later ones, which then need no handshake of their own; empty
            for a connection each.
    """

    host: str
    user: str = ""
    port: int | None = None
    config: str = ""
    base: str = ""
    socket: str = ""

    def command(self, script: str) -> list[str]:
        """`ssh` with a script for sh, whatever the login shell is."""
        options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=10"]
        options += ["ServerAliveInterval=5", "ServerAliveCountMax=3", "RequestTTY=no", "EscapeChar=none"]
        if self.socket:
            options += ["ControlMaster=auto", f"ControlPath={self.socket}", "ControlPersist=no"]
        words = ["ssh", "-a", "-x", *(word for option in options for word in ("-o", option))]
        if self.config:
            words += ["-F", self.config]
        if self.user:
            words += ["-l", self.user]
        if self.port is not None:
            words += ["-p", str(self.port)]
        return [*words, "--", self.host, f"exec sh -c {quote(script)}"]

    def explain(self, errors: str) -> tuple[str, str]:
        """From ssh's own words."""
        low = errors.lower()
        for words, reason, mend in _EXPLAINED:
            if words in low:
                return reason, mend
        said = errors.strip().splitlines()
        return (said[-1] if said else "the connection ended"), "check the connection by `ssh`"


def parse_ssh(address: str, *, config: str = "") -> SshTransport:
    """The transport an address names.

    Raises:
        UsageError: not of the form ssh://[user@]host[:port], or with characters that no host or user has.
    """
    found = _ADDRESS.fullmatch(address)
    host = "" if found is None else found["host"].strip("[]")
    user = "" if found is None else found["user"] or ""
    if found is None or not _HOST.fullmatch(host) or (user and not _USER.fullmatch(user)):
        raise UsageError(f"device {address}", "it is not of the form ssh://[user@]host[:port]", "see docs/devices.md")
    return SshTransport(host=host, user=user, port=int(found["port"]) if found["port"] else None, config=config)
