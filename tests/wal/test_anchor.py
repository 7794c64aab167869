"""The anchor file: its bytes, its replacement, and both ways with the wheel."""

import json
from pathlib import Path

import calybris
import pytest

from wal import (
    EMPTY_HEAD,
    Anchor,
    Head,
    WalAnchorError,
    WalError,
    anchor_of,
    decode_anchor,
    encode_anchor,
    read_anchor,
    write_anchor,
)
from wal_support import VECTORS

HASH = "350281720550661d4ff0dc54b5cfd5ded8e294b397dd8e22997cff06fad8ed89"
GOOD = anchor_of(Head(120, HASH), keyed=True)
BYTES = (
    b'{"schema_version":"calybris.wal-anchor.v1","sequence":120,"last_hash":"%b","keyed":true}\n'
    % HASH.encode()
)


def test_exact_bytes() -> None:
    assert encode_anchor(GOOD) == BYTES
    assert decode_anchor(BYTES) == GOOD
    assert GOOD.head == (120, HASH)
    assert decode_anchor(encode_anchor(anchor_of(EMPTY_HEAD, keyed=False))).head == EMPTY_HEAD


def test_the_vectors_anchors() -> None:
    assert read_anchor(VECTORS / "keyed.anchor.json") == GOOD
    unkeyed = read_anchor(VECTORS / "unkeyed.anchor.json")
    assert (unkeyed.sequence, unkeyed.keyed) == (120, False)


def test_writing_replaces_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "anchor.json"
    write_anchor(path, anchor_of(Head(1, HASH), keyed=True))
    (tmp_path / "anchor.json.new").write_bytes(b"what a crash left behind, longer than it" * 9)
    write_anchor(path, GOOD)
    assert path.read_bytes() == BYTES
    assert [child.name for child in tmp_path.iterdir()] == ["anchor.json"]


def test_the_wheel_reads_ours_and_we_its(tmp_path: Path) -> None:
    write_anchor(tmp_path / "ours", GOOD)
    assert calybris.WalAnchor.load(tmp_path / "ours").as_dict() == json.loads(BYTES)
    calybris.WalAnchor.load(tmp_path / "ours").save(tmp_path / "its")
    assert read_anchor(tmp_path / "its") == GOOD


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an anchor"),
        (b"[]", "not an anchor"),
        (BYTES[:-3], "not an anchor"),
        (BYTES.replace(b"120", b'"120"'), "not an anchor"),
        (BYTES.replace(b"120", b"120.5"), "not an anchor"),
        (BYTES.replace(b"true", b"1"), "not an anchor"),
        (BYTES.replace(b',"keyed":true', b""), "not an anchor"),
        (BYTES.replace(b"}", b',"more":1}'), "not an anchor"),
        (b"\xff" + BYTES, "not an anchor"),
        (BYTES.replace(HASH.encode(), b"\xff"), "not an anchor"),
        (BYTES.replace(b".v1", b".v2"), "schema_version"),
        (BYTES.replace(b"120", b"-1"), "out of range"),
        (BYTES.replace(b"120", b"18446744073709551616"), "(out of range|not an anchor)"),
        (BYTES.replace(b"120", b"0"), "genesis"),
        (BYTES.replace(HASH.encode(), b"genesis"), "genesis"),
        (BYTES.replace(HASH.encode(), HASH.upper().encode()), "not a hash"),
        (BYTES + b" " * 4096, "at most 4096"),
    ],
    ids=range(17),
)
def test_what_is_no_anchor(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "anchor").write_bytes(data)
    with pytest.raises(WalAnchorError, match=reason):
        read_anchor(tmp_path / "anchor")


def test_what_the_system_refuses(tmp_path: Path) -> None:
    with pytest.raises(WalError, match="cannot read the anchor"):
        read_anchor(tmp_path / "absent")
    with pytest.raises(WalError, match="cannot write the anchor"):
        write_anchor(tmp_path / "absent" / "anchor", GOOD)


def test_an_anchor_is_a_value() -> None:
    assert Anchor("calybris.wal-anchor.v1", 120, HASH, True) == GOOD
    with pytest.raises(AttributeError):
        GOOD.sequence = 1  # type: ignore[misc]
