"""The POSIX shell scripts that run on a device (dash, mksh, busybox and toybox have all they use).

Whatever comes from outside enters them through `shlex.quote` only. Every one ends with a trailer line that carries its
exit code: a transport's own exit code says nothing when the device was lost (adb has ended with 0 then).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from shlex import join, quote

__all__ = ["bounded_run", "keeper", "pull", "push", "with_trailer"]


def with_trailer(script: str, mark: str) -> str:
    """Run a script in a subshell, then print `mark` and its exit code on a line of their own."""
    return f"({script}\n)\nprintf '\\n%s%d\\n' {quote(mark)} \"$?\"\n"


def keeper(base: str, lock: str) -> str:
    """Hold the device: take the lock, make the work folder, and remove both when the connection ends, however it ends.

    Prints `work PATH`, `busy PID` (another session holds the lock and lives), `lacks TOOL` or `denied PATH`. (toybox 0.8.9
    now and then ends with 127 what ended at once; an option that `timeout` does not know gives 1 or 125.)
    """
    return f"""umask 077
for tool in timeout mktemp cat rm mkdir; do
  command -v "$tool" >/dev/null 2>&1 || {{ echo "lacks $tool"; exit; }}
done
timeout -k 1 9 cat </dev/null >/dev/null 2>&1
case $? in 0 | 127) ;; *) echo "lacks timeout -k"; exit ;; esac
base={quote(base)}
[ -n "$base" ] || base=${{TMPDIR:-/tmp}}
lock=$base/{quote(lock)}
if ! mkdir "$lock" 2>/dev/null; then
  holder=$(cat "$lock/pid" 2>/dev/null)
  [ -n "$holder" ] || {{ sleep 1; holder=$(cat "$lock/pid" 2>/dev/null); }}
  if [ -n "$holder" ] && {{ kill -0 "$holder" 2>/dev/null || [ -d "/proc/$holder" ]; }}; then
    echo "busy $holder"; exit
  fi
  rm -rf "$lock" 2>/dev/null
  mkdir "$lock" 2>/dev/null || {{ echo "denied $base"; exit; }}
fi
work=
trap 'rm -rf "$lock" ${{work:+"$work"}}' EXIT
trap 'exit 1' HUP INT TERM
echo "$$" >"$lock/pid"
work=$(mktemp -d "$base/edgevision.XXXXXX") || {{ echo "denied $base"; exit; }}
echo "work $work"
cat >/dev/null
"""


def bounded_run(work: str, command: Sequence[str], seconds: float) -> str:
    """Run a command for at most `seconds`, and not beyond the connection: its end is seen as the end of our stdin.

    A shell gives background jobs an empty stdin, hence the copy on 3. coreutils' `timeout` passes on what ends it, to its
    whole group; busybox's is the program itself; toybox's leaves the program running, hence the program's own number
    through 4 (which a Korn shell hands on only when told) and 5, a file that stays readable when the work folder goes.
    Runtimes leave files behind (ONNX Runtime 1.32 a `.ses` in TMPDIR and a database in the user's cache): in the work
    folder they go with it.
    """
    return f"""cd {quote(work)} || exit
export TMPDIR={quote(work)} XDG_CACHE_HOME={quote(work)}
exec 3<&0 4>run.pid 5<run.pid
timeout -k 2 {ceil(seconds)} sh -c 'echo $$ >&4; exec "$@" 4>&-' sh {join(command)} </dev/null 3<&- 4>&4 5<&- &
run=$!
exec 4>&-
(cat <&3 >/dev/null; own=$(cat <&5); kill "$run" $own; sleep 2; kill -9 $own) >/dev/null 2>&1 &
watch=$!
wait "$run"
code=$?
kill "$watch" 2>/dev/null
exit "$code"
"""


def push(work: str, name: str, size: int, *, executable: bool) -> str:
    """Take a file from stdin; it has its name only when all of it has arrived."""
    part, place = quote(f"{work}/{name}.part"), quote(f"{work}/{name}")
    mode = f"chmod 700 {part} && " if executable else ""
    return f'cat >{part} && [ "$(wc -c <{part})" -eq {size} ] && {mode}mv -f {part} {place}\n'


def pull(work: str, name: str) -> str:
    """Give a file on stdout."""
    return f"cat {quote(f'{work}/{name}')}\n"
