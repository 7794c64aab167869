"""`pretrade-guard bench`: its arguments, and real runs of a fraction of a second."""

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from guard import GUARD_FORM, __version__
from guard.bench import floor, replay_rate
from guard.bench.conditions import filesystem_of
from guard.bench.document import Report, Run, Trace, summarize_disk
from guard.bench.floor import DISK, DOORS, FLOOR_OVER_ZEROS, Door, RecordFile, measure_disk
from guard.bench.generator import Plan
from guard.bench.loads import ONE_IN_FLIGHT, REAL_FLOW, STANDARD, custom_load
from guard.bench.peers import missing_peers
from guard.bench.session import one_a_message
from guard.bench.show import show_report, wide_console
from guard.bench.site import BenchError, Guard, config_text
from guard.bench.targets import NOT_MEASURED, judge
from guard.bench.timeline import METRICS
from guard.bench.wheel import measure_kernels, measure_orders
from guard.bench.workload import Mix
from guard.bench.zmtp import connect
from guard.cli import main
from guard.config.file import parse_config
from guard.histogram import Histogram
from guard.process import own_process
from guard.process.installation import PARTS, build

SHOWN_FORMS = ("kernel_form", "log_form", "guard_form")
QUICK = ("--seconds", "0.4", "--warm-up-s", "0.1", "--rounds", "1")

WRONG = (
    (("--rate", "0"), "--rate: 0 is not allowed; allowed: 1 to 1000000"),
    (("--in-flight", "16385"), "--in-flight: 16385 is not allowed"),
    (("--in-flight", "1", "--clients", "501"), "--clients: 501 is not allowed"),
    (("--in-flight", "1", "--orders-per-message", "257"), "--orders-per-message: 257"),
    (("--rate", "100", "--orders-per-message", "64"), "no multiple of 64 orders a message"),
    (("--rate", "1", "--mix", "1/1/1"), "--mix: '1/1/1' is not allowed"),
    (("--mix", "8/1/1"), "allowed only with --rate or --in-flight"),
    (("--orders-per-message", "2"), "allowed only with --rate or --in-flight"),
    (("--speed", "5"), "--speed: allowed only with --flow real"),
    (("--flow", "real", "--speed", "0"), "--speed: 0 is not allowed; allowed: 1 to 10000"),
    (("--flow", "real", "--mix", "8/1/1"), "--flow real: has its own mix"),
    (("--desks", "10001"), "desks: 10001 is not allowed; allowed: 1 to 10000"),
    (("--venues", "257"), "venues: 257 is not allowed; allowed: 1 to 256"),
    (("--seconds", "0"), "--seconds: 0 is not allowed; allowed: 0.1 to 3600"),
    (("--warm-up-s", "-1"), "--warm-up-s: -1 is not allowed; allowed: 0 to 3600"),
    (("--rounds", "0"), "--rounds: 0 is not allowed; allowed: 1 to 100"),
    (("--processes", "5"), "--processes: 5 is not allowed; allowed: 1 to 4"),
    (("--pid", "1"), "--pid: allowed only with --endpoint"),
    (("--scale-orders", "1000"), "--scale-orders: allowed only with --scale"),
    (("--scale", "--scale-orders", "999"), "--scale-orders: 999 is not allowed; allowed: 10000 to"),
    (("--scale", "--compare"), "--scale: allowed only with a guard of its own"),
    (("--compare", "--endpoint", "tcp://127.0.0.1:1"), "--compare: allowed only with"),
    (("--directory", "/no/such/place"), "--directory: /no/such/place is no directory"),
    (("--json", "/no/such/place/file"), "--json: /no/such/place is no directory"),
    (("--trace", "/no/such/place/file"), "--trace: /no/such/place is no directory"),
    (("--trace", "t", "--scale"), "--trace: allowed only with loads on a guard of its own"),
    (("--trace", "t", "--endpoint", "tcp://127.0.0.1:1"), "--trace: allowed only with loads"),
)


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_wrong_use_names_the_option(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert main(["bench", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_one_load_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "--rate", "1", "--in-flight", "1"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_the_printed_configuration_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--print-config", "--desks", "7", "--venues", "256"]) == 0
    config = parse_config(capsys.readouterr().out)
    assert len(config.desks) == 7 + 4  # the recorded flow's are there too
    assert len(config.policy.models) == 256
    assert parse_config(config_text(1, 1, 5)).settings.remembered_orders_max == 5


def _report(directory: Path, *arguments: str) -> Report:
    path = directory / "report.json"
    assert (
        main(["bench", *QUICK, "--directory", str(directory), "--json", str(path), *arguments]) == 0
    )
    assert [entry.name for entry in directory.iterdir()] == ["report.json"]  # nothing left behind
    return msgspec.json.decode(path.read_bytes(), type=Report)


@pytest.mark.slow
def test_a_closed_loop_of_a_mix_over_two_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Long enough for a busy machine to mark where the log stands at both ends of the window.
    arguments = ("--in-flight", "8", "--clients", "3", "--processes", "2", "--mix", "8/1/1")
    report = _report(tmp_path, *arguments, "--seconds", "2")
    (run,) = report.runs
    assert (run.target, run.load, run.rounds) == ("guard", "8 in flight, mixed 8/1/1", 1)
    assert run.messages_sent == run.messages_answered == sum(run.replies.values())
    assert run.replies.keys() == {"admit", "filled", "released"}
    assert run.requests_a_second > 0
    assert 0 < run.latency_ns["p50"] <= run.latency_ns["p99.99"] <= run.latency_ns["max"]
    assert 1 <= run.batch_records["p50"] <= run.batch_records["max"] <= 8
    assert 0 < run.sync_ns["p50_at_most"] <= run.sync_ns["p99_at_most"]
    assert run.sync_ns["count"] > 0
    assert run.cpu_us_a_request.keys() == {"daemon", "generator 1", "generator 2"}
    assert run.cpu_us_a_request["daemon"]["main"] > 0
    told = {name: value for name, value in report.conditions.items() if name.endswith("_form")}
    assert told == dict(zip(SHOWN_FORMS, map(build().get, PARTS), strict=True))
    assert report.conditions["pretrade_guard"] == __version__
    assert report.conditions["filesystem"] == "{} ({})".format(*filesystem_of(tmp_path))
    assert "8 in flight, mixed 8/1/1" in capsys.readouterr().out


@pytest.mark.slow
def test_an_open_loop_keeps_its_rate_with_many_orders_a_message(tmp_path: Path) -> None:
    report = _report(tmp_path, "--rate", "400", "--orders-per-message", "4")
    (run,) = report.runs
    assert (
        run.messages_sent == run.messages_answered == 50
    )  # half a second of 100 messages a second
    assert run.replies == {"admit": 200}
    assert run.lateness_ns["count"] == run.latency_ns["count"] == 40  # behind the warm-up


@pytest.mark.slow
def test_the_real_flow_is_answered_whole(tmp_path: Path) -> None:
    (run,) = _report(tmp_path, "--flow", "real", "--speed", "10000").runs
    assert run.messages_sent == run.messages_answered == 24_917
    assert sum(run.replies.values()) == 24_917
    assert run.replies["filled"] == 1_002  # two a match
    assert run.refusals["quantity_out_of_range"] == 13


@pytest.mark.slow
def test_a_running_guard_and_a_desk_that_it_does_not_know(tmp_path: Path) -> None:
    place = tmp_path / "guard"
    place.mkdir()
    guard = Guard(place, config_text(1, 1, 100_000))
    try:
        running = ("--endpoint", guard.endpoint, "--pid", str(guard.process_id))
        path = tmp_path / "report.json"
        arguments = ("--in-flight", "2", "--desks", "2", "--json", str(path))
        assert main(["bench", *QUICK, *running, *arguments]) == 0
    finally:
        guard.stop()
    (run,) = msgspec.json.decode(path.read_bytes(), type=Report).runs
    assert run.replies.keys() == {"admit", "reject"}
    assert run.refusals == {"unknown_desk": run.replies["reject"]}
    assert run.cpu_us_a_request["daemon"]["main"] > 0
    assert run.batch_records == {}


@pytest.mark.slow
def test_what_cannot_be_reached_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--in-flight", "1", "--endpoint", f"ipc://{tmp_path}/none", *QUICK)
    assert main(["bench", *arguments]) == 1
    assert "none cannot be asked what it is: FileNotFoundError" in capsys.readouterr().err


def test_peers_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such/place")
    assert missing_peers() == {"redis": "redis-server is not installed"}


def test_rows_without_a_measurement_are_neither_met_nor_missed() -> None:
    rows = judge([], {})
    assert {(row.measured, row.met) for row in rows} == {(NOT_MEASURED, None)}
    assert len(rows) == 13
    assert len({load.name for load in STANDARD}) == len(STANDARD)


def test_kernel_row_is_met_up_to_its_bound() -> None:
    assert judge([], {"kernel_ns": 115.0})[0].met is True
    assert judge([], {"kernel_ns": 115.1})[0].met is False


def _run(target: str, load: str, **latency_ns: int) -> Run:
    return Run(target, load, 1, 1.0, latency_ns, {"count": 0}, {}, {}, 7, 7, {}, {}, {})


def test_the_floor_is_the_door_over_zeros_under_the_same_load() -> None:
    loads = {
        "guard": {"p50": 345, "p99": 9},
        FLOOR_OVER_ZEROS: {"p50": 300},
    }
    runs = [_run(target, ONE_IN_FLIGHT, **latency_ns) for target, latency_ns in loads.items()]
    row = judge(runs, {})[1]
    assert (row.measured, row.met) == ("0 µs / 0 µs = 1.15×", True)
    assert judge([runs[0], _run(FLOOR_OVER_ZEROS, REAL_FLOW, p50=300)], {})[1].met is None
    slower = _run("guard", ONE_IN_FLIGHT, p50=346, p99=9)
    assert judge([slower, runs[1]], {})[1].met is False


def test_the_flow_is_shown_beside_the_disk_s_worst() -> None:
    flow = _run("guard", REAL_FLOW, **{"p99.9": 5_000_000})
    assert judge([flow], {})[-1].measured == "5.00 ms, 0"
    row = judge([flow, _run("disk", REAL_FLOW, max=84_200_000)], {})[-1]
    assert (row.measured, row.met) == ("5.00 ms, 0; the disk alone at worst 84 ms", True)


def test_the_disk_is_a_target_without_requests(capsys: pytest.CaptureFixture[str]) -> None:
    times_ns = Histogram()
    times_ns.record_all([1_000, 3_000])
    run = summarize_disk(DISK, ONE_IN_FLIGHT, [times_ns, times_ns])
    assert (run.target, run.rounds, run.requests_a_second) == ("disk", 2, 5e5)
    assert (run.latency_ns["count"], run.latency_ns["max"]) == (4, 3_000)
    show_report(wide_console(), Report(1, "", "", {}, [run], [], {}, []))
    assert capsys.readouterr().out.count("disk") == 1


def test_the_gain_of_cores_is_shown_beside_loops_that_share_nothing() -> None:
    figures = {"replay_cores_ratio": 1.8, "busy_cores_ratio": 1.914}
    row = judge([], figures)[-2]
    assert (row.measured, row.met) == ("1.80×; loops that share nothing 1.91×", True)
    assert judge([], {"replay_cores_ratio": 1.79})[-2].measured == "1.79×"


@pytest.mark.slow
def test_the_peers_that_need_no_installation(tmp_path: Path) -> None:
    for is_over_zeros in (False, True):
        assert measure_disk(tmp_path, 1_300, 0.05, is_over_zeros=is_over_zeros).count > 0
    assert measure_orders(tmp_path, 3, 4, 0.05) > 0
    assert len(measure_kernels(3)) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
def test_a_floor_answers_when_its_bytes_are_written(tmp_path: Path, name: str) -> None:
    record_bytes = 1_300
    door = Door(name, tmp_path, record_bytes)
    try:
        with connect(door.endpoint, 5) as link:
            for count in (1, 2):
                link.sendall(b"\x00\x02ab")
                assert link.recv(16) == b"\x00\x02ab"
                written = [path.read_bytes() for path in tmp_path.iterdir()]
                assert len(written) == (name != DOORS[0])
                for content in written:
                    assert content.rstrip(b"\0") == b"x" * count * record_bytes
                    assert (content[-1:] == b"\0") == (name == FLOOR_OVER_ZEROS)
    finally:
        door.stop()


def test_a_file_over_zeros_is_written_again_from_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floor, "ZEROS_BYTES", 10)
    monkeypatch.setattr(floor, "PIECE_BYTES", 5)
    file = RecordFile(tmp_path / "probe", is_over_zeros=True)
    assert (tmp_path / "probe").read_bytes() == bytes(10)
    for data, content in ((b"aaaa", b"aaaa"), (b"bbbb", b"aaaabbbb"), (b"ccc", b"cccabbbb")):
        file.write(data)
        assert (tmp_path / "probe").read_bytes() == content.ljust(10, b"\0")
    file.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_replay_beside_the_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_rate, "RECORDS", 500)
    if GUARD_FORM != "compiled":
        with pytest.raises(BenchError, match="different forms are not compared"):
            replay_rate.measure_replay(tmp_path)
        return
    figures = replay_rate.measure_replay(tmp_path)
    assert set(figures) == {
        "replay_records_a_second", "replay_wheel_records_a_second", "replay_wheel_ratio",
        "replay_cores_ratio", "busy_cores_ratio",
    }  # fmt: skip
    assert all(figure > 0 for figure in figures.values())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_interrupted_bench_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    command = own_process.command("guard.cli", "bench", "--directory", str(tmp_path))
    bench = subprocess.Popen(
        [*command, "--in-flight", "8", "--seconds", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that its whole group can be interrupted, as by a terminal
        text=True,
        preexec_fn=_hear_interrupts,
    )
    assert bench.stderr is not None
    lines = []
    while "8 in flight" not in (line := bench.stderr.readline()):
        assert line, lines
        lines.append(line)
    os.killpg(bench.pid, signal.SIGINT)
    output, said = bench.communicate(timeout=30)
    assert (bench.returncode, output) == (130, "")
    assert said.endswith("pretrade-guard: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background they are ignored


@pytest.mark.slow
def test_a_trace_has_the_daemon_s_doings_beside_the_slowest_messages(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    arguments = ("--rate", "500", "--clients", "2", "--directory", str(tmp_path))
    assert main(["bench", *QUICK, *arguments, "--trace", str(path)]) == 0
    trace = msgspec.json.decode(path.read_bytes(), type=Trace)
    (timeline,) = trace.timelines
    assert sum(one.messages for one in timeline.slices) == 200  # 0.4 s at 500 a second
    assert sum(one.main_ran_ns for one in timeline.slices) > 0
    asked = [span for span in timeline.spans if span.what == METRICS]
    assert 1 <= len(asked) <= 5
    assert all(0 <= span.from_ns <= span.to_ns for span in asked)


@pytest.mark.slow
def test_a_daemon_that_does_not_start_is_said_to_have_ended(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="the daemon ended with code 2 before it was ready"):
        Guard(tmp_path, "[endpoints]\n")


def test_a_peer_of_one_order_a_message_is_given_as_many_orders() -> None:
    plan = Plan("redis", "tcp://127.0.0.1:1", "t", (0,), 1, 0, 8, per_message=64)
    assert one_a_message(plan) == replace(plan, in_flight=512, per_message=1)
    open_loop = replace(plan, in_flight=None, rate=10)
    assert one_a_message(open_loop) == replace(open_loop, rate=640, per_message=1)


def test_a_rate_of_orders_has_a_peer_and_a_mix_has_none() -> None:
    assert custom_load(1, None, 100, None, Mix(1, 0, 0), 1).peers == {"redis"}
    assert custom_load(1, None, 100, None, Mix(8, 1, 1), 1).peers == set()
