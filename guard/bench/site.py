"""The bench's own guard: its configuration, its process, and what its threads use of a processor.

Owns a directory of its own for the log, on a real disk where the machine has one, and ends only
the process that it started. The configuration has as many desks and venues as asked for, and
budgets that no bench exhausts.

How it fails: `BenchError` where the daemon does not start or does not end cleanly.
"""

import os
import subprocess
from pathlib import Path
from typing import Final

from guard.bench.flow import FLOW_DESKS
from guard.bench.workload import FIRST_VENUE, SYMBOL, desk_name
from guard.config.keys import create_key
from guard.process import own_process
from guard.recovery.start_options import NEW_LOG_OPTION

READY_S: Final = 60.0
STOP_S: Final = 60.0
DESKS_MAX: Final = 10_000
VENUES_MAX: Final = 256
# The most that a guard may be set to: the index is grown at the start, not while it is measured.
REMEMBERED_ORDERS_MAX: Final = 10_000_000


class BenchError(RuntimeError):
    """The bench could not be run to its end."""


def config_text(desks: int, venues: int, remembered_orders_max: int) -> str:
    """A configuration with that many desks (and the recorded flow's) and venues."""
    if not 1 <= desks <= DESKS_MAX:
        raise ValueError(f"desks: {desks} is not allowed; allowed: 1 to {DESKS_MAX}")
    if not 1 <= venues <= VENUES_MAX:
        raise ValueError(f"venues: {venues} is not allowed; allowed: 1 to {VENUES_MAX}")
    names = (*FLOW_DESKS, *map(desk_name, range(desks)))
    return "".join(
        (
            '[endpoints]\norders = "tcp://127.0.0.1:*"\n[log]\ndirectory = "log"\n',
            f"[settings]\nremembered_orders_max = {remembered_orders_max}\n",
            "[policy]\npolicy_epoch = 1\ncatalog_epoch = 1\nhard_risk_limit_bps = 9000\n",
            "minimum_confidence_bps = 7000\nrisk_penalty_multiplier_bps = 5000\n",
            "latency_penalty_microcents_per_ms = 20\n",
            *map(_venue_text, range(venues)),
            f'[[instruments]]\nsymbol = "{SYMBOL}"\n',
            'tick_size = "0.01"\nlot_size = "0.00000001"\n',
            *(
                f'[[desks]]\ndesk = "{name}"\nbudget = "80000000000.00"\nexposure_cap = "none"\n'
                for name in names
            ),
        )
    )


def _venue_text(place: int) -> str:
    """The first is the best of the flow's three; those behind it are ever dearer and slower."""
    return (
        f"[[policy.venues]]\nvenue = {FIRST_VENUE * (place + 1)}\nprovider = {place % 64}\n"
        f"quality_bps = {9_900 - 20 * min(place, 200)}\nrisk_ceiling_bps = 8500\n"
        f"p95_latency_ms = {15 + 30 * place}\nfee_microcents_per_million_lots = 8200\n"
        f"fee_microcents_per_order = {9_000 + 100 * place}\n"
    )


class Guard:
    """A daemon of its own, on a free loopback port."""

    def __init__(self, directory: Path, config: str, packages: Path | None = None) -> None:
        """Starts it, on the log in `directory` or a fresh one. Raises BenchError.

        `packages`: the folder whose `guard` is run, instead of this one's.
        """
        self.log = directory / "log"
        key_file, config_file = directory / "log.key", directory / "bench.toml"
        is_fresh = not key_file.exists()  # else it is started again on the log that it left
        if is_fresh:
            create_key(key_file)
        config_file.write_text(config)
        self._process = own_process.start(
            *("guard.cli", "run", "--config", str(config_file)),
            *("--log-dir", str(self.log), "--key-file", str(key_file)),
            *((NEW_LOG_OPTION,) if is_fresh and _knows_new_log(packages) else ()),
            packages=packages,
            stdout=subprocess.PIPE,
        )
        self.process_id = self._process.pid
        self.key_file = key_file
        try:
            self.endpoint = self._read_ready()
        except BaseException:
            self.kill()
            raise

    def _read_ready(self) -> str:
        """The endpoint that the ready line names."""
        line = own_process.first_line(self._process, READY_S)
        if line == "":
            code = self._process.wait(STOP_S)
            raise BenchError(f"the daemon ended with code {code} before it was ready")
        if line is None or "ready: orders " not in line:
            raise BenchError(f"the daemon was not ready within {READY_S:.0f} s: {line!r}")
        return line.split("ready: orders ")[1].split(",")[0]

    def kill(self) -> None:
        """Ends it at once, if it still runs."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def stop(self) -> None:
        """Ends it cleanly. Raises BenchError where it does not end so."""
        self._process.terminate()
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise BenchError(f"the daemon did not stop within {STOP_S:.0f} s") from None
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()
        if code != 0:
            raise BenchError(f"the daemon ended with code {code}")


def _knows_new_log(packages: Path | None) -> bool:
    """Whether the guard in that folder asks for a log to be begun; earlier commits did not."""
    if packages is None:
        return True
    guard = packages / "guard"
    return any((guard / place / "start_options.py").exists() for place in ("recovery", "."))


def thread_cpu_ns(process_id: int) -> dict[str, int]:
    """Nanoseconds of processor time that each of a process's threads has used, by name.

    Threads of one name are added up; the process's first is `main`. Empty where the process is
    gone, or the system does not tell.
    """
    used: dict[str, int] = {}
    try:
        threads = os.listdir(f"/proc/{process_id}/task")
    except OSError:
        return {}
    for thread in threads:
        place = Path(f"/proc/{process_id}/task/{thread}")
        try:
            spent_ns = int((place / "schedstat").read_text().split()[0])
            name = "main" if thread == str(process_id) else (place / "comm").read_text().strip()
        except (OSError, IndexError, ValueError):
            continue
        used[name] = used.get(name, 0) + spent_ns
    return used


def resident_bytes(process_id: int) -> int:
    """Memory that a process holds; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
