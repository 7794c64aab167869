"""The fuzzer's corpus and its checks, without the fuzzer (`tests/fuzz`)."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz_support import LIMITS, Peer, check, check_message, events_of
from guard.server.commands import command, error
from guard.server.zmtp import END, MESSAGE, READY, SEND
from server_support import EMPTY, HELLO, frame

CORPUS = Path(__file__).resolve().parents[2] / "data" / "fuzz" / "zmtp"
PARTS = st.one_of(
    st.builds(frame, st.binary(max_size=LIMITS.body_bytes_max + 2), st.sampled_from((0, 0, 1))),
    st.sampled_from((EMPTY, frame(b"1234", 1), error("no"), command(b"\x04PING\x00\x01x"))),
    st.binary(max_size=12),
)
STREAMS = st.builds(lambda parts: HELLO + b"".join(parts), st.lists(PARTS, max_size=8))


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_the_corpus(path: Path) -> None:
    check(path.read_bytes())


def test_the_corpus_comes_to_every_event() -> None:
    """So that the fuzzer begins where it would else have to find its way to."""
    kinds = set()
    for path in CORPUS.iterdir():
        kinds |= {kind for kind, *_ in events_of(path.read_bytes()[2:])}
    assert kinds == {END, MESSAGE, READY, SEND}


@given(st.binary(min_size=1, max_size=1), STREAMS, STREAMS)
@settings(max_examples=300, deadline=None)
def test_two_peers_have_their_own(cut: bytes, one: bytes, other: bytes) -> None:
    both = one + other
    parted = 255 * len(one) // len(both)
    check(cut + bytes((parted,)) + both)


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes(data: bytes) -> None:
    check(data)
    check(data[:2] + HELLO + data[2:])


def test_what_is_wrong_is_seen() -> None:
    peer = Peer()
    peer.feed(HELLO + frame(b"abc"))
    assert [kind for kind, *_ in peer.events] == [READY, MESSAGE]
    told: Any = SimpleNamespace(frame_count=2, body=b"abc", body_bytes=3, envelope=EMPTY)
    check_message(told)
    for wrong in ({"envelope": b""}, {"body": b"ab"}, {"frame_count": 9}, {"body_bytes": 601}):
        with pytest.raises(AssertionError):
            check_message(SimpleNamespace(**(vars(told) | wrong)))  # type: ignore[arg-type]
    ended = Peer()
    ended.feed(b"GET / HTTP/1.1\r\n")
    assert ended.has_ended
    with pytest.raises(AssertionError, match="something behind the end"):
        ended.note()
