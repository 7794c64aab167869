"""FORMAT.md against the package: its verifier runs, its numbers are the code's."""

import hmac
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wal import (
    BATCH_BYTES_MAX,
    CHECKPOINTS_KEPT,
    LINE_BYTES_MAX,
    SEGMENT_BYTES_MAX,
    ChainHasher,
    encode_line,
    write_checkpoint,
)
from wal.checkpoint import SYNC_EVERY_BYTES
from wal.entry import ENVELOPE_BYTES_MAX
from wal.manifest import MANIFEST_BYTES_MAX
from wal.torn import SECTOR_BYTES
from wal_support import (
    KEY,
    MANIFEST,
    SEGMENT,
    VECTOR_KEY,
    small_batches,
    unpack_vector,
    write_log,
)

PAGE = (Path(__file__).resolve().parent.parent.parent / "wal" / "FORMAT.md").read_text()


def published_verifier() -> Callable[..., tuple[int, str]]:
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(snippets) == 1
    names: dict[str, Any] = {}
    exec(compile(snippets[0], "FORMAT.md", "exec"), names)
    verifier: Callable[..., tuple[int, str]] = names["verify"]
    return verifier


@pytest.mark.parametrize("key", [KEY, None])
def test_the_published_verifier_takes_our_logs(key: bytes | None, tmp_path: Path) -> None:
    hasher = ChainHasher(key)
    head = write_log(tmp_path, hasher, small_batches(hasher))
    verify = published_verifier()
    content = (tmp_path / SEGMENT).read_bytes()
    lines = io.BytesIO(content).readlines()
    assert verify(lines, key) == head
    for at, byte in enumerate(content):
        flipped = content[:at] + bytes([byte ^ 1]) + content[at + 1 :]
        with pytest.raises(ValueError, match="record "):
            verify(io.BytesIO(flipped), key)
    with pytest.raises(ValueError, match="record 5"):
        verify([*lines[:4], lines[4][:-1]], key)


def test_the_published_verifier_judges_the_vectors_as_the_reference_does(tmp_path: Path) -> None:
    verify = published_verifier()
    # Blank lines and a reformatted envelope are left to a reader of any JSON form.
    other_forms = {"bad_blank_line.jsonl", "bad_reformatted_envelope.jsonl"}
    for name, expected in MANIFEST["expected"].items():
        if not name.endswith(".jsonl") or name in other_forms:
            continue
        lines = io.BytesIO(unpack_vector(name, tmp_path).read_bytes()).readlines()
        if expected["chain"] == "ok":
            assert verify(lines, VECTOR_KEY)[0] == expected["head_sequence"]
        else:
            with pytest.raises(ValueError, match="record "):
                verify(lines, VECTOR_KEY)


def test_the_pages_table_is_the_line() -> None:
    line = encode_line(17, "a" * 64, "b" * 64, b'{"x":1}')
    rows = re.findall(r"^\| ([0-9n][0-9a-z ]*) \| (.+) \|$", PAGE, re.MULTILINE)[:9]
    fixed = [re.findall(r"`([^`]+)`", content)[0] for _, content in rows[0:7:2]]
    assert [len(text) for text in fixed] == [int(count) for count, _ in rows[0:7:2]]
    values = ["17", "a" * 64, "b" * 64, '{"x":1}']
    pairs = zip(fixed, values, strict=True)
    assert line.decode() == "".join(text + value for text, value in pairs) + "}\n"
    longest = encode_line(2**64 - 1, "a" * 64, "b" * 64, b"")
    assert len(longest) == ENVELOPE_BYTES_MAX


def test_the_pages_numbers_are_the_codes() -> None:
    assert f"{LINE_BYTES_MAX:,} bytes" in PAGE
    assert f"{BATCH_BYTES_MAX:,} bytes" in PAGE
    assert f"{MANIFEST_BYTES_MAX:,} bytes" in PAGE
    assert f"({SEGMENT_BYTES_MAX // 2**20} MiB\nby default" in PAGE
    assert f"every {SYNC_EVERY_BYTES // 2**20} MiB" in PAGE
    assert CHECKPOINTS_KEPT == 2
    assert "newest two stay" in PAGE
    assert f"{SECTOR_BYTES}-byte sectors" in " ".join(PAGE.split())
    key_id = ChainHasher(KEY).key_id
    assert len(key_id) == 16
    assert "first 16 hexadecimal characters" in PAGE


def test_the_manifest_is_the_pages(tmp_path: Path) -> None:
    hasher = ChainHasher(KEY)
    head = write_log(tmp_path, hasher, small_batches(hasher))
    write_checkpoint(tmp_path, head, "ab" * 32, iter([b"state"]), hasher)
    line = (tmp_path / "checkpoints.json").read_text()
    schema, entry = re.findall(r"^`(\{.*\})`", PAGE, re.MULTILINE)[-2:]
    shown = re.sub(r":[0-9]+", ":0", re.sub(r'"[0-9a-f]{64}"', '"…"', line))
    pattern = re.sub(r":[NB]", ":0", schema.replace("[…]", f"[{entry}]"))
    assert shown == pattern + "\n"
    body = re.fullmatch(r".*\[(\{.*),\"mac\":\"([0-9a-f]{64})\"\}\]\}\n", line)
    assert body is not None
    message = b"pretrade-guard.wal-checkpoint.v1\0" + body[1].encode() + b"}"
    assert hmac.new(KEY, message, "sha256").hexdigest() == body[2]
