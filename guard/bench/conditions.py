"""What a figure was measured on: machine, disk, libraries, load. Without these it means little.

Owns the reading of them; changes nothing. What the system does not tell is `unknown`. What was
measured, the daemon itself is asked: `guard.bench.builds`.
"""

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Final

import zmq

from guard.process.installation import PACKAGES

UNKNOWN: Final = "unknown"
# A log on these is in memory alone: its syncs cost nothing, and prove nothing.
MEMORY_FILESYSTEMS: Final = frozenset({"tmpfs", "ramfs"})
_GIT_S: Final = 10.0


def conditions(directory: Path) -> dict[str, str]:
    """Of this machine and of the disk that `directory` is on, as text by name."""
    filesystem, device = filesystem_of(directory)
    return {
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "load_average": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
        "filesystem": f"{filesystem} ({device})",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": ", ".join(
            (f"libzmq {zmq.zmq_version()}", *map(_version, ("pyzmq", "uvloop", "msgspec")))
        ),
    }


def processor() -> str:
    """Its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def filesystem_of(directory: Path) -> tuple[str, str]:
    """The type and the device of the filesystem that holds `directory`."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return UNKNOWN, UNKNOWN
    path = directory.resolve()
    found = (UNKNOWN, UNKNOWN)
    depth = -1
    for line in lines:
        fields = line.split()
        mounted, source = Path(fields[4].replace("\\040", " ")), fields.index("-")
        # Of two mounts on one place the later one is seen.
        if path.is_relative_to(mounted) and len(mounted.parts) >= depth:
            depth = len(mounted.parts)
            found = (fields[source + 1], fields[source + 2])
    return found


def checkout_commit() -> str:
    """Of the checkout that the package runs from, if it does, with `+` where it has changes."""
    git = shutil.which("git")
    checkout = PACKAGES.resolve()
    if git is None or not (checkout / ".git").exists():
        return UNKNOWN
    try:
        head, status = (
            subprocess.run(
                (git, "-C", str(checkout), *arguments),
                capture_output=True,
                check=True,
                text=True,
                timeout=_GIT_S,
            ).stdout
            for arguments in (
                ("rev-parse", "--short=12", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no"),
            )
        )
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return head.strip() + ("+" if status.strip() else "")


def _version(name: str) -> str:
    return f"{name} {metadata.version(name)}"
