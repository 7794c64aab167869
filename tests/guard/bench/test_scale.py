"""The engine that `bench --scale` grows, and the log that it reads the batches from."""

from pathlib import Path

import pytest

from guard.bench import scale
from guard.bench.batches import batch_sizes, last_record_bytes, mark
from guard.bench.builds import as_conditions
from guard.bench.conditions import conditions, filesystem_of
from guard.bench.scale import Grown
from guard.bench.site import resident_bytes, thread_cpu_ns
from guard.process.installation import build


def test_every_order_that_it_is_grown_by_is_admitted_and_remembered() -> None:
    grown = Grown(desks=3, venues=2, remembered_orders_max=100)
    assert grown.grow(40) > 0
    assert grown.grow(20) > 0
    state = grown.engine.state
    assert (grown.orders, len(state.orders)) == (60, 60)
    held = [state.ledger.reserved_microcents(f"desk-{number:05d}") for number in range(3)]
    assert held == [20 * 619_000 * 1_000 * 10**8 // 10**10] * 3


@pytest.mark.slow
def test_a_small_scale_run_names_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(scale, "DESKS", (1, 20))
    monkeypatch.setattr(scale, "WARM_UP_ORDERS", 100)
    monkeypatch.setattr(scale, "CHUNK_ORDERS", 100)
    monkeypatch.setattr(scale, "ORDERS_MIN", 1_000)
    figures = scale.measure_scale(1_000, tmp_path, 0.2, said.append)
    assert len(figures) == 2 + 4 + 2 + 2 + 3
    # So few orders may fit into memory that the process had already.
    assert all(figure > 0 for name, figure in figures.items() if "resident" not in name)
    assert said[-1] == "start-up"
    assert list(tmp_path.iterdir()) == []


def test_batch_sizes_are_those_between_two_marks(tmp_path: Path) -> None:
    segment = tmp_path / "00000001.jsonl"
    line = b'{"data":{"received_at_ns":1,"client":"local","batch_first_sequence":%d,"x":1}}\n'
    segment.write_bytes(line % 1)
    since = mark(tmp_path)
    with segment.open("ab") as appended:
        appended.write(b"".join(line % batch for batch in (2, 2, 2, 5)))
    (tmp_path / "00000002.jsonl").write_bytes(line % 6 + line % 6)
    until = mark(tmp_path)
    with segment.open("ab") as appended:
        appended.write(line % 9)
    sizes = batch_sizes(tmp_path, since, until)
    assert dict(sizes.counts) == {3: 1, 1: 1, 2: 1}


def test_the_last_record_of_a_log_has_its_bytes(tmp_path: Path) -> None:
    assert last_record_bytes(tmp_path) == 0
    (tmp_path / "00000001.jsonl").write_bytes(b"x" * 200_000 + b"\n" + b"y" * 1_649 + b"\n")
    (tmp_path / "00000002.jsonl").write_bytes(b"")
    assert last_record_bytes(tmp_path) == 1_650


def test_the_conditions_say_what_is_known(tmp_path: Path) -> None:
    found = {**as_conditions(build(), is_own=True), **conditions(tmp_path)}
    assert found["commit"]
    assert found["kernel_form"] in ("compiled", "interpreted")
    assert "cores" in found["machine"]
    assert filesystem_of(Path("/proc"))[0] == "proc"


def test_a_process_that_is_gone_has_used_nothing() -> None:
    assert thread_cpu_ns(2**22 + 1) == {}
    assert resident_bytes(2**22 + 1) == 0
