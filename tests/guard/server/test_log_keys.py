"""How a log comes from one evolving key to the next, with a crash at every step between."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guard import clock
from guard.config.errors import ConfigError
from guard.config.evolving_keys import create_evolving, load_evolving, load_host_key
from guard.config.keys import create_key, load_key
from guard.engine.engine import Engine
from guard.engine.events import OperatorActed
from guard.record.codec import DIALECT
from guard.recovery.checkpoint_schedule import write_state
from guard.recovery.recover import recover_log
from guard.server.log_keys import (
    LogKeys,
    SessionKey,
    digest_of,
    erase_at_start,
    hasher_at_start,
    prepare_handover,
    segment_bytes_max,
    session_key,
)
from guard.server.request_path import record_event
from guard.server.service import RunOptions
from guard.server.session_records import actor_of, session_events, stage
from guard_support import dev_config
from wal import (
    ChainHasher,
    Head,
    KeyRing,
    LogWriter,
    RingHasher,
    WalDamage,
    WalKeyMismatch,
    current_key,
    encode_line,
    failpoint,
    list_segments,
    parse_line,
    read_checkpoints,
    segment_name,
    verify_chain,
)

SEGMENT_BYTES = 1_048_576


class Session:
    """What a daemon has of its log, without its doors."""

    def __init__(self, options: RunOptions, engine: Engine, writer: LogWriter, key: Any) -> None:
        self.options, self.engine, self.writer, self.key = options, engine, writer, key
        self.told: list[Callable[[Head], None]] = []
        self.alarms: list[str] = []
        self.is_checkpointing = False
        self.now_ns = 0
        self.keys: LogKeys | None = None
        if isinstance(key, RingHasher) and options.evolving_key is not None:
            self.keys = LogKeys(
                options,
                key,
                writer,
                record=self.record,
                when_durable=self.told.append,
                actor=lambda why: actor_of(engine, writer.staged_count, why),
                is_checkpointing=lambda: self.is_checkpointing,
                monotonic_ns=lambda: self.now_ns,
                alarm=self.alarms.append,
            )

    def record(self, event: Any) -> None:
        record_event(self.engine, self.writer, event)

    def sync(self) -> None:
        head = self.writer.sync_now()
        told, self.told[:] = list(self.told), []
        for call in told:
            call(head)

    def checkpoint(self) -> None:
        head, state = self.writer.durable_head, self.engine.state
        write_state(self.options.log_directory, self.key, state, head)


class Place:
    """A host: its log and its key file; and the root, which is elsewhere."""

    def __init__(self, root: Path) -> None:
        self.root_key = root / "root.key"
        self.host = root / "host"
        self.host.mkdir()
        create_evolving(self.root_key, self.key_file)

    @property
    def key_file(self) -> Path:
        return self.host / "log.key"

    @property
    def log(self) -> Path:
        return self.host / "log"

    def options(self, *, new_log: bool = False, **others: Any) -> RunOptions:
        config = dev_config()
        log = msgspec.structs.replace(
            config.log, forward_secure=True, segment_bytes_max=SEGMENT_BYTES
        )
        object.__setattr__(config, "log", log)
        return RunOptions(
            config,
            b"",
            self.log,
            "ipc://@none",
            new_log=new_log,
            key_file=self.key_file,
            evolving_key=load_host_key(self.key_file),
            **others,
        )

    @contextmanager
    def session(self, options: RunOptions | None = None) -> Iterator[Session]:
        """As `guard.server.daemon` begins one; ended without a word, as by a crash."""
        options = options or self.options(new_log=not self.log.exists())
        hasher = hasher_at_start(options)
        recovered = recover_log(options.log_directory, hasher, new_log=options.new_log)
        with recovered.lock:
            key: SessionKey = session_key(options, hasher, recovered)
            events = list(session_events(options, key, recovered))
            prepare_handover(options.log_directory, hasher, key)
            with LogWriter.open(
                options.log_directory,
                key.hasher,
                recovered.head,
                monotonic_ns=clock.monotonic_ns,
                lock=recovered.lock,
                segment_bytes_max=segment_bytes_max(options),
                fresh_segment=True,
            ) as writer:
                writer.segment_digest = digest_of(options)
                stage(recovered.engine, writer, events)
                writer.sync_now()
                erase_at_start(options, hasher, key.hasher)
                yield Session(options, recovered.engine, writer, key.hasher)

    def verify(self, key_file: Path | None = None) -> int:
        """As `verify --root-key-file` does; the records."""
        ring = KeyRing([], load_evolving(key_file or self.root_key))
        hasher = current_key(self.log, ring.newest, DIALECT.key_change)
        return verify_chain(self.log, hasher, DIALECT).record_count

    def number(self) -> int:
        return load_evolving(self.key_file).number


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def digest(root: Path) -> str:
    found = sha256()
    for path in sorted(root.rglob("*")):
        found.update(str(path.relative_to(root)).encode() + b"\0")
        if path.is_file() and path.name not in ("head", "lock"):
            found.update(sha256(path.read_bytes()).digest())
    return found.hexdigest()


@contextmanager
def every_step(root: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """A copy of `root` before each call that changes what a crash leaves; each state once."""
    taken: dict[str, Path] = {}

    def take() -> None:
        state = digest(root)
        if state not in taken:
            taken[state] = kept / f"{len(taken):03d}"
            shutil.copytree(root, taken[state])

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, **named: Any) -> Any:
            take()
            return call(*arguments, **named)

        return made

    found: list[Path] = []
    with monkeypatch.context() as patch:
        for name in ("fsync", "fdatasync", "rename", "pwrite", "write", "unlink", "ftruncate"):
            patch.setattr(os, name, watched(getattr(os, name)))
        failpoint.install(lambda name: None)  # the way that calls these
        try:
            yield found
        finally:
            failpoint.install(None)
        take()
    found.extend(taken.values())


def test_a_crash_at_every_step_of_a_change_leaves_a_log_that_starts(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.session() as session:
        session.checkpoint()
        assert session.keys is not None
        with every_step(place.host, tmp_path / "kept", monkeypatch) as states:
            session.keys.rotate()
            session.sync()
    assert place.number() == 2
    assert len(states) >= 8
    for state in states:
        shutil.rmtree(place.host)
        shutil.copytree(state, place.host)
        before = place.number()
        records = place.verify()
        with place.session() as again:
            assert place.number() == again.key.number > before
            found = [info.problem for info in read_checkpoints(place.log, again.key)]
            assert found == [None], state
            assert again.engine.state.key_id == again.key.key_id
        assert place.verify() == records + 1
        assert place.verify(place.key_file) == records + 1


def test_a_crash_at_every_step_of_a_start_leaves_a_log_that_starts(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.session() as session:
        session.checkpoint()
    with every_step(place.host, tmp_path / "kept", monkeypatch) as states, place.session():
        pass
    for state in states:
        shutil.rmtree(place.host)
        shutil.copytree(state, place.host)
        with place.session() as again:
            assert place.number() == again.key.number
            found = [info.problem for info in read_checkpoints(place.log, again.key)]
            assert found == [None], state
        place.verify()


def test_what_the_file_held_is_wiped(place: Place) -> None:
    secret = bytes(load_evolving(place.key_file).secret)
    with place.key_file.open("rb") as held, place.session() as session:
        assert session.keys is not None
        session.keys.rotate()
        session.sync()
        old = held.read()
    assert old == bytes(len(old))
    assert place.number() == 2
    for path in place.host.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path


def test_no_key_of_before_is_held_by_any_object(place: Place) -> None:
    """Of the keys that the log has left behind, in a session that has begun with one of them."""
    with place.session():
        pass
    with place.session() as session:
        assert session.keys is not None
        for _ in range(2):
            session.keys.rotate()
            session.sync()
        gc.collect()
        blocks = {item.blocks()[0] for item in gc.get_objects() if isinstance(item, RingHasher)} - {
            b""
        }
        assert blocks == {session.key.blocks()[0]}


def test_a_change_waits_for_a_checkpoint_and_for_records(place: Place) -> None:
    with place.session() as session:
        keys = session.keys
        assert keys is not None
        session.is_checkpointing = True
        keys.rotate()
        assert session.writer.staged_count == 0
        session.is_checkpointing = False
        actor = actor_of(session.engine, 0, "a desk")
        session.record(actor.event(OperatorActed, action="rotate"))
        keys.tick()  # put off above; now behind what is staged
        assert session.writer.staged_count == 1
        assert keys.is_changing
        session.sync()
        assert session.writer.staged_count == 1  # the change itself
        session.sync()
        assert not keys.is_changing
        assert place.number() == session.key.number == 2
    place.verify()


def test_a_change_comes_by_time_and_by_size(place: Place) -> None:
    with place.session() as session:
        keys, writer = session.keys, session.writer
        assert keys is not None
        session.now_ns += 15 * 60 * 10**9 - 1
        keys.tick()
        assert writer.staged_count == 0
        session.now_ns += 1
        keys.tick()
        session.sync()
        assert place.number() == 2
        actor = actor_of(session.engine, 0, "x" * SEGMENT_BYTES)
        session.record(actor.event(OperatorActed, action="rotate"))
        session.sync()
        session.sync()
        assert place.number() == 3
        assert not session.alarms
    assert len(list_segments(place.log)) == 3
    place.verify()


def test_a_file_that_cannot_be_replaced_is_an_alarm_until_it_can(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.session() as session:
        assert session.keys is not None
        in_the_way = place.key_file.with_name("log.key.new")
        in_the_way.mkdir()
        session.keys.rotate()
        session.sync()
        assert place.number() == 1
        assert "the log's older key is still in" in session.alarms[0]
        session.keys.tick()
        assert len(session.alarms) == 1
        in_the_way.rmdir()
        session.keys.tick()
        assert place.number() == 2
    place.verify()


def test_a_plain_log_goes_on_under_evolving_keys(place: Place, tmp_path: Path) -> None:
    """And the plain key is of no use any more for what comes then, nor for the start."""
    plain = tmp_path / "plain.key"
    create_key(plain)
    key = load_key(plain)
    options = place.options(new_log=True)
    options = type(options)(options.config, key, place.log, "ipc://@none", new_log=True)
    with place.session(options) as session:
        assert type(session.key) is ChainHasher
    with place.session(place.options(old_keys=(key,))) as session:
        assert (session.key.number, place.number()) == (1, 1)
        session.keys.rotate()  # type: ignore[union-attr]
        session.sync()
    place.verify()
    with place.session():  # without the plain key: its segment is sealed
        assert place.number() == 3


def test_a_key_file_that_another_log_has_used_is_refused(place: Place, tmp_path: Path) -> None:
    with place.session():
        pass
    with place.session():
        pass
    shutil.move(place.log, tmp_path / "away")
    with pytest.raises(ConfigError, match="holds evolving key 2, which another log has come to"):
        hasher_at_start(place.options(new_log=True))


def test_a_log_that_was_cut_by_segments_is_not_under_the_host_s_key(place: Place) -> None:
    """Who restores an older log beside the newer key, or takes the last segments away."""
    for _ in range(3):
        with place.session():
            pass
    (place.log / segment_name(3)).unlink()
    with (
        pytest.raises(WalKeyMismatch, match="number 2 there, which was not given"),
        place.session(),
    ):
        pass


def test_the_noon_thief(place: Place, tmp_path: Path) -> None:
    """Who takes the host's files at noon can write from there on, and nothing of the morning."""
    for _ in range(3):
        with place.session():
            pass
    stolen = load_evolving(place.key_file)
    assert stolen.number == 3
    host = KeyRing([], load_evolving(place.key_file))
    thief = RingHasher(stolen.chain_key(), host, stolen.number)
    # The morning's second segment anew, under the only key that there is, and all that follows it.
    first = parse_line((place.log / segment_name(1)).read_bytes().splitlines(keepends=True)[-1])
    head = first.entry_hash
    for number in (2, 3):
        path = place.log / segment_name(number)
        lines = []
        for line in path.read_bytes().splitlines(keepends=True):
            entry = parse_line(line)
            data = entry.data.replace(b'"why":"start"', b'"why":"other"')
            made = thief.entry_hash(head, data)
            lines.append(encode_line(entry.sequence, head, made, data))
            head = made
        path.write_bytes(b"".join(lines))
    with pytest.raises(WalDamage, match=r"00000002\.jsonl, byte 0"):
        place.verify()
