"""The bench asks the daemon what it is, and compares no figures of different forms."""

import os
import subprocess
import threading
from pathlib import Path

import msgspec
import pytest
import zmq

from guard import __version__
from guard.bench.builds import as_conditions, ask_build, check_comparable, only_build
from guard.bench.site import BenchError
from guard.process import installation, own_process
from patience_support import PATIENCE_S

COMPILED = dict.fromkeys(installation.PARTS, "compiled")


def told_by(reply: object) -> tuple[str, threading.Thread, "zmq.Context[zmq.Socket[bytes]]"]:
    """A daemon that answers one `stats` with `reply`."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.bind("tcp://127.0.0.1:*")
    endpoint = router.getsockopt_string(zmq.LAST_ENDPOINT)

    def answer() -> None:
        routing_id, _ = router.recv_multipart()
        router.send_multipart([routing_id, msgspec.msgpack.encode(reply)])
        router.close()

    thread = threading.Thread(target=answer)
    thread.start()
    return endpoint, thread, context


def asked(reply: object, *, is_own: bool) -> dict[str, str]:
    endpoint, thread, context = told_by(reply)
    try:
        return ask_build(endpoint, is_own=is_own)
    finally:
        thread.join(PATIENCE_S)
        context.term()


def stats(build: dict[str, str]) -> dict[str, object]:
    return {"type": "stats", "counters": {}, "syncs_by_latency_ns": [], "build": build}


def test_the_daemon_s_build_is_the_report_s() -> None:
    other = {"version": "9.9.9", "commit": "abc", **COMPILED, "log": "interpreted", "more": "x"}
    assert asked(stats(other), is_own=False) == other
    assert as_conditions(other, is_own=False) == {
        "pretrade_guard": "9.9.9", "commit": "abc", "kernel_form": "compiled",
        "log_form": "interpreted", "guard_form": "compiled",
    }  # fmt: skip


@pytest.mark.parametrize(
    "reply",
    [
        {"type": "stats", "counters": {}, "syncs_by_latency_ns": []},
        {"type": "error", "code": "unknown_type", "field": "type", "message": "m"},
    ],
)
def test_one_that_is_too_old_to_say_it_is_unknown(reply: dict[str, object]) -> None:
    assert asked(reply, is_own=False) == {}
    assert set(as_conditions({}, is_own=False).values()) == {"unknown"}


def test_an_own_daemon_must_be_this_installation() -> None:
    assert asked(stats(installation.build()), is_own=True) == installation.build()
    words = f"the daemon is an unknown version.*; what started it is {__version__}"
    with pytest.raises(BenchError, match=words):
        asked(stats({}), is_own=True)
    other = installation.build() | {"log": "of tomorrow"}
    with pytest.raises(BenchError, match="log of tomorrow"):
        asked(stats(other), is_own=True)


def test_the_daemons_of_a_session_are_one_build() -> None:
    assert only_build([]) == {}
    assert only_build([COMPILED, COMPILED]) == COMPILED
    with pytest.raises(BenchError, match="the daemons of one session differ"):
        only_build([COMPILED, COMPILED, COMPILED | {"version": "2"}])


def test_different_forms_are_not_compared() -> None:
    check_comparable({"a": COMPILED, "b": COMPILED | {"version": "2", "commit": "c"}})
    check_comparable({"a": COMPILED, "older": {"kernel": "compiled"}, "oldest": {}})
    forms = {"a": COMPILED, "older": {}, "b": COMPILED | {"order_path": "interpreted"}}
    words = "different forms are not compared: order path of a is compiled, of b interpreted"
    with pytest.raises(BenchError, match=words):
        check_comparable(forms)


def test_the_forms_of_any_commit_s_packages_are_found_out() -> None:
    """As `compare_commits.py` does, whose older daemons do not say them."""
    script = Path(__file__).parent.parent.parent / "bench" / "running_forms.py"
    command = own_process.command(str(script), packages=installation.PACKAGES)
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=True)
    forms = {part: installation.build()[part] for part in installation.PARTS}
    assert msgspec.json.decode(done.stdout) == forms


def test_an_interpreted_guard_is_not_compared_with_its_peers(tmp_path: Path) -> None:
    command = ("guard.cli", "bench", "--compare", "--directory", str(tmp_path))
    done = subprocess.run(
        own_process.command(*command, packages=installation.PACKAGES),
        env={**os.environ, "PRETRADE_GUARD_PURE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "pretrade-guard: different forms are not compared: the peers are compiled; interpreted "
        f"here: kernel, log, order path, replay, in {installation.PACKAGES}\n"
    )
    assert list(tmp_path.iterdir()) == []
