"""Hosts for tests: network namespaces on one bridge, which can be cut off from each other.

Each host is a namespace of the system's with one interface. A way from one host to another is cut
by a neighbour entry that leads nowhere: what is sent that way vanishes without a word, as on a
network that is gone, and the other direction stays as it is. Needs root, `ip` and `nsenter`;
`needs_namespaces` says so where they are not there. Everything made here is removed at the end.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest

PATIENCE_S: Final = 20.0
NOWHERE: Final = "02:00:00:00:00:ff"


def _may_make_one() -> bool:
    if os.getuid() != 0 or shutil.which("ip") is None or shutil.which("nsenter") is None:
        return False
    probe = f"probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False)
    if made.returncode == 0:
        subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    return made.returncode == 0


needs_namespaces = pytest.mark.skipif(
    not _may_make_one(), reason="network namespaces need root, ip and nsenter, or are not permitted"
)


def ip(*arguments: str, netns: str = "") -> None:
    """`ip`, in a namespace where one is named, to its good end."""
    command = ["ip", *(("-n", netns) if netns else ()), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, (command, done.stderr)


class Network:
    """Hosts by name. `inside(name)` is the command that becomes one there."""

    def __init__(self, names: Iterable[str]) -> None:
        self._prefix = f"pg{os.getpid() % 100_000}"
        self._switch = f"{self._prefix}-sw"
        self.names = list(names)
        self.cuts: set[tuple[str, str]] = set()

    def address(self, name: str) -> str:
        """Where it is reached."""
        return f"10.213.7.{self.names.index(name) + 10}"

    def _netns(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def make(self) -> None:
        """Makes the switch, and each host with its interface."""
        ip("netns", "add", self._switch)
        ip("link", "add", "switch", "type", "bridge", netns=self._switch)
        ip("link", "set", "switch", "up", netns=self._switch)
        for number, name in enumerate(self.names):
            host, port = self._netns(name), f"port{number}"
            ip("netns", "add", host)
            ip("link", "set", "lo", "up", netns=host)
            peer = ("peer", "name", port, "netns", self._switch)
            ip("link", "add", "eth0", "netns", host, "type", "veth", *peer)
            ip("link", "set", port, "master", "switch", "up", netns=self._switch)
            ip("address", "add", f"{self.address(name)}/24", "dev", "eth0", netns=host)
            ip("link", "set", "eth0", "up", netns=host)

    def remove(self) -> None:
        """Removes all of it, as far as it was made."""
        for netns in (*map(self._netns, self.names), self._switch):
            subprocess.run(["ip", "netns", "del", netns], capture_output=True, check=False)

    def inside(self, name: str) -> tuple[str, ...]:
        """What becomes the command that is written behind it, on that host."""
        nsenter = shutil.which("nsenter")
        assert nsenter is not None
        return nsenter, f"--net=/run/netns/{self._netns(name)}"

    def cut(self, sender: str, receiver: str) -> None:
        """Nothing that one sends arrives at the other; the other way stays."""
        to = (self.address(receiver), "lladdr", NOWHERE, "dev", "eth0", "nud", "permanent")
        ip("neigh", "replace", *to, netns=self._netns(sender))
        self.cuts.add((sender, receiver))

    def part(self, ones: Iterable[str], others: Iterable[str]) -> None:
        """Cuts both ways between each of the ones and each of the others."""
        listed = list(others)
        for one in ones:
            for other in listed:
                self.cut(one, other)
                self.cut(other, one)

    def heal(self) -> None:
        """Every way leads where it should again."""
        for sender, receiver in self.cuts:
            entry = (self.address(receiver), "dev", "eth0")
            ip("neigh", "del", *entry, netns=self._netns(sender))
        self.cuts.clear()


@contextmanager
def running_network(names: Iterable[str]) -> Iterator[Network]:
    """A network, removed at the end."""
    network = Network(names)
    try:
        network.make()
        yield network
    finally:
        network.remove()


@contextmanager
def small_disk(path: str, mebibytes: int) -> Iterator[None]:
    """A file system of its own at that directory, of that size, gone at the end."""
    size = f"size={mebibytes}m"
    mounting = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", path]
    subprocess.run(mounting, check=True, timeout=PATIENCE_S)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=False, timeout=PATIENCE_S)
