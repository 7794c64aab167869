"""One PostgreSQL server for tests, in a temporary directory, on a unix socket, without fsync.

A process of its own, of the user `postgres` where we are root (PostgreSQL refuses to be root),
ended with the `with`. Where the server or asyncpg is not installed, `needs_postgres` says so.
"""

import asyncio
import importlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster_support import BINARIES, as_postgres
from cluster_support import needs_postgres as needs_postgres
from patience_support import PATIENCE_S


class Postgres:
    """A running server."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.count = 0

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.directory}"

    def new_database(self) -> str:
        """The URL of an empty one."""
        self.count += 1
        self.ask(self.url(), f"CREATE DATABASE test{self.count}")
        return self.url(f"test{self.count}")

    def script(self, url: str, text: str) -> None:
        """Runs statements, one after the other."""

        async def run() -> None:
            connection = await importlib.import_module("asyncpg").connect(url, timeout=PATIENCE_S)
            try:
                await connection.execute(text)
            finally:
                await connection.close()

        asyncio.run(run())

    def ask(self, url: str, statement: str, *arguments: object) -> list[Any]:
        """What a statement returns, as tuples."""

        async def asked() -> list[Any]:
            connection = await importlib.import_module("asyncpg").connect(url, timeout=PATIENCE_S)
            try:
                return [tuple(row) for row in await connection.fetch(statement, *arguments)]
            finally:
                await connection.close()

        return asyncio.run(asked())


def _command(name: str, *arguments: str) -> list[str]:
    assert BINARIES is not None
    return as_postgres(str(BINARIES / name), *arguments)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A new server, until the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="guard-sql-", dir="/tmp"))
    process = None
    try:
        if os.getuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        data = str(directory / "data")
        subprocess.run(
            _command("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"),
            check=True, capture_output=True, timeout=PATIENCE_S, cwd="/",
        )  # fmt: skip
        settings = ("listen_addresses=", "fsync=off", "max_connections=20", "shared_buffers=16MB")
        server = _command("postgres", "-D", data, "-k", str(directory), *_each("-c", settings))
        with (directory / "said").open("wb") as said:
            process = subprocess.Popen(server, stdout=said, stderr=said, cwd="/")
        deadline = time.monotonic() + PATIENCE_S
        ready = _command("pg_isready", "-q", "-h", str(directory))
        while subprocess.run(ready, timeout=PATIENCE_S, check=False, cwd="/").returncode:
            assert process.poll() is None, (directory / "said").read_text()
            assert time.monotonic() < deadline, (directory / "said").read_text()
            time.sleep(0.05)
        yield Postgres(directory)
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # its fast stop
            try:
                process.wait(PATIENCE_S)
            finally:
                process.kill()
        shutil.rmtree(directory, ignore_errors=True)


def _each(flag: str, values: tuple[str, ...]) -> list[str]:
    return [part for value in values for part in (flag, value)]
