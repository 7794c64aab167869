"""A standby as a process for tests: one that has opened its doors, and where they are."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster_support import Cluster
from daemon_support import Daemon, Site, config_text


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def host(cluster: Cluster, root: Path, name: str, **section: object) -> Site:
    """A host of the log that goes with the test; it listens where it always does."""
    (root / name).mkdir()
    log = "".join(sign for sign in root.name if sign.isalnum())[-32:]
    settings = {"beat_ms": 100, "silence_ms": 500, **section}
    text = config_text().replace("[log]", f'feed = "ipc://{root}/{name}/feed"\n[log]', 1)
    text = text.replace("127.0.0.1:*", f"127.0.0.1:{free_port()}")
    return Site(root / name, text + cluster.section(log, **settings))


class Shown:
    """A standby whose doors are open, and where."""

    def __init__(self, site: Site) -> None:
        site.started += 1
        places = ("--config", str(site.config), "--log-dir", str(site.log))
        arguments = ["standby", *places, "--key-file", str(site.key_file)]
        self.daemon = Daemon(arguments, site.root / f"stderr-{site.started}")
        assert b"stands by" in self.line()
        said = self.line().decode()
        assert "answers what it knows: " in said
        self.orders, self.feed = said.strip().split("knows: ")[1].split(", feed ")

    def line(self) -> bytes:
        """The next line that it says."""
        return self.daemon.next_line()

    def ready(self) -> str:
        """Waits until it serves; where."""
        while b"ready: orders" not in (line := self.line()):
            pass
        return line.decode().split("orders ", 1)[1].split(",", 1)[0]


@contextmanager
def standing_by(site: Site) -> Iterator[Shown]:
    """A standby, ended with the test."""
    shown = Shown(site)
    try:
        yield shown
    finally:
        shown.daemon.kill()
