"""The packed map against a plain dict: what it holds, what it gives back, what it refuses.

Runs in the form that is running; CI runs it in both.
"""

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guard.engine.row_map
from guard import GUARD_FORM
from guard.engine.row_map import BLOB_BYTES_MAX, NO_ROW, RowMap
from kernel import InvariantError

I64_MIN, I64_MAX = -(2**63), 2**63 - 1
FIELDS = 3

# Few keys, so that a history meets each of them again, and of lengths around a grain.
KEYS = [b"%d" % number for number in range(12)] + [b"x" * length for length in (31, 32, 33, 200)]
keys = st.sampled_from(KEYS)
integers = st.integers(I64_MIN, I64_MAX) | st.sampled_from([I64_MIN, -1, 0, I64_MAX])
values_of_rows = st.tuples(integers, integers, integers)
payloads = st.binary(max_size=100) | st.sampled_from([b"", b"\0" * 40, b"y" * 3_000])
histories = st.lists(
    st.one_of(
        st.tuples(st.just("add"), keys, payloads, values_of_rows),
        st.tuples(st.just("remove"), keys),
        st.tuples(st.just("set_values"), keys, values_of_rows),
        st.tuples(st.just("set_value"), keys, st.integers(0, FIELDS - 1), integers),
        st.tuples(st.just("reserve"), st.integers(0, 100)),
    ),
    max_size=60,
)

Entry = tuple[bytes, tuple[int, ...]]


def dump_of(packed: RowMap) -> bytes:
    return b"".join(packed.dump())


def load_of(dumped: bytes) -> RowMap:
    packed = RowMap(FIELDS)
    read = io.BytesIO(dumped)
    packed.load(read.read)
    assert read.read() == b""
    return packed


def step(packed: RowMap, expected: dict[bytes, Entry], operation: tuple[Any, ...]) -> None:
    """The operation on both; nothing where it would be misuse."""
    kind, *arguments = operation
    if kind == "reserve":
        packed.reserve(arguments[0])
        return
    key = arguments[0]
    row = packed.find(key)
    assert (row == NO_ROW) == (key not in expected)
    if kind == "add" and key not in expected:
        row = packed.add(*arguments)
        assert packed.find(key) == row
        expected[key] = (arguments[1], arguments[2])
    elif kind == "remove" and key in expected:
        packed.remove(row)
        del expected[key]
    elif kind == "set_values" and key in expected:
        packed.set_values(row, arguments[1])
        expected[key] = (expected[key][0], arguments[1])
    elif kind == "set_value" and key in expected:
        _, field, value = arguments
        packed.set_value(row, field, value)
        payload, values = expected[key]
        expected[key] = (payload, (*values[:field], value, *values[field + 1 :]))


def check_equal(packed: RowMap, expected: dict[bytes, Entry]) -> None:
    assert len(packed) == len(expected)
    rows = list(packed.rows())
    assert rows == sorted(set(rows))
    assert {packed.key(row) for row in rows} == set(expected)
    for key, (payload, values) in expected.items():
        row = packed.find(key)
        assert row in rows
        assert (packed.key(row), packed.payload(row)) == (key, payload)
        assert packed.values(row) == values
        assert tuple(packed.value(row, field) for field in range(FIELDS)) == values
    for key in KEYS:
        if key not in expected:
            assert packed.find(key) == NO_ROW


@settings(max_examples=200)
@given(history=histories)
def test_it_is_a_dict(history: list[tuple[Any, ...]]) -> None:
    packed = RowMap(FIELDS)
    expected: dict[bytes, Entry] = {}
    for operation in history:
        step(packed, expected, operation)
        assert len(packed) == len(expected)
    check_equal(packed, expected)
    loaded = load_of(dump_of(packed))
    check_equal(loaded, expected)
    assert dump_of(loaded) == dump_of(packed)


@settings(max_examples=50)
@given(history=histories, entries_max=st.integers(0, 40))
def test_one_history_gives_one_dump(history: list[tuple[Any, ...]], entries_max: int) -> None:
    """The size of the index is no part of it."""
    packed, twin = RowMap(FIELDS), RowMap(FIELDS)
    twin.reserve(entries_max)
    expected: dict[bytes, Entry] = {}
    twin_expected: dict[bytes, Entry] = {}
    for operation in history:
        step(packed, expected, operation)
        if operation[0] != "reserve":
            step(twin, twin_expected, operation)
    assert dump_of(twin) == dump_of(packed)


@pytest.mark.skipif(GUARD_FORM == "compiled", reason="the compiled form's hash stays as it is")
@settings(max_examples=50)
@given(history=histories, bits=st.sampled_from([0, 1, 7, 2**31]))
def test_it_is_a_dict_where_hashes_collide(history: list[tuple[Any, ...]], bits: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard.engine.row_map, "hash", lambda key: hash(key) & bits, raising=False)
        packed = RowMap(FIELDS)
        expected: dict[bytes, Entry] = {}
        for operation in history:
            step(packed, expected, operation)
        check_equal(packed, expected)
        check_equal(load_of(dump_of(packed)), expected)


@settings(max_examples=50)
@given(before=histories, after=histories)
def test_a_loaded_map_goes_on_as_the_one_it_was(
    before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]
) -> None:
    packed = RowMap(FIELDS)
    expected: dict[bytes, Entry] = {}
    for operation in before:
        step(packed, expected, operation)
    loaded = load_of(dump_of(packed))
    loaded_expected = dict(expected)
    for operation in after:
        step(packed, expected, operation)
        step(loaded, loaded_expected, operation)
    check_equal(loaded, expected)
    assert dump_of(loaded) == dump_of(packed)


def numbered(count: int) -> RowMap:
    packed = RowMap(1)
    for number in range(count):
        assert packed.add(b"key %d" % number, b"payload %d" % number, (number,)) == number
    return packed


def test_it_grows_over_slabs_and_finds_every_key() -> None:
    count = 20_000  # two slabs of rows and a part of a third; the index grows a dozen times
    packed = numbered(count)
    for number in range(0, count, 2):
        packed.remove(packed.find(b"key %d" % number))
    assert len(packed) == count // 2
    for number in range(count):
        row = packed.find(b"key %d" % number)
        if number % 2:
            assert (row, packed.value(row, 0)) == (number, number)
            assert packed.payload(row) == b"payload %d" % number
        else:
            assert row == NO_ROW
    assert list(packed.rows()) == list(range(1, count, 2))
    loaded = RowMap(1)
    loaded.load(io.BytesIO(dump_of(packed)).read)
    assert all(loaded.find(b"key %d" % number) == number for number in range(1, count, 2))


def test_blocks_fill_their_slab_and_do_not_straddle_two() -> None:
    packed = RowMap(1)
    keys = [b"%04d" % number for number in range(700)]
    for number, key in enumerate(keys):
        packed.add(key, bytes([number % 256]) * 3_000, (number,))
    assert dump_of(packed)
    for number, key in enumerate(keys):
        assert packed.payload(packed.find(key)) == bytes([number % 256]) * 3_000


def test_a_freed_row_and_block_are_used_again_last_freed_first() -> None:
    packed = numbered(3)
    before_bytes = packed.memory_bytes()
    before = len(dump_of(packed))
    packed.remove(0)
    packed.remove(2)
    assert packed.add(b"key 2", b"payload 2", (2,)) == 2
    assert packed.add(b"key 0", b"payload 0", (0,)) == 0
    assert packed.add(b"key 3", b"payload 3", (3,)) == 3
    assert packed.memory_bytes() == before_bytes
    # One size of blocks has a free list now, empty again: its size and its count.
    assert len(dump_of(packed)) == before + 16


def test_what_was_removed_is_not_in_the_dump() -> None:
    packed = RowMap(FIELDS)
    packed.remove(packed.add(b"secret key", b"secret payload", (77_777_777, 0, 0)))
    dumped = dump_of(packed)
    assert b"secret" not in dumped
    assert (77_777_777).to_bytes(8, "little") not in dumped


def test_the_greatest_blob() -> None:
    packed = RowMap(1)
    row = packed.add(b"k", b"p" * (BLOB_BYTES_MAX - 1), (1,))
    assert packed.payload(row) == b"p" * (BLOB_BYTES_MAX - 1)
    row = packed.add(b"k" * BLOB_BYTES_MAX, b"", (1,))
    assert (packed.key(row), packed.payload(row)) == (b"k" * BLOB_BYTES_MAX, b"")
    with pytest.raises(InvariantError, match=r"^a key of 1 bytes in a blob of 4097$"):
        packed.add(b"l", b"p" * BLOB_BYTES_MAX, (1,))


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("add", (b"key 1", b"", (0,))),
        ("add", (b"", b"payload", (0,))),
        ("add", (b"new", b"p" * BLOB_BYTES_MAX, (0,))),
        ("add", (b"new", b"", (I64_MAX + 1,))),
        ("add", (b"new", b"", (I64_MIN - 1,))),
        ("add", (b"new", b"", ())),
        ("add", (b"new", b"", (1, 2))),
        ("set_values", (1, (I64_MAX + 1,))),
        ("set_values", (1, (1, 2))),
        ("set_value", (1, 0, I64_MAX + 1)),
        ("set_value", (1, 0, I64_MIN - 1)),
        ("set_value", (1, 1, 0)),
        ("set_value", (1, -1, 0)),
        ("value", (1, 1)),
        ("value", (1, -1)),
        *(("value", (row, 0)) for row in (NO_ROW, 0, 3, 2**40)),
        *(("set_value", (row, 0, 0)) for row in (NO_ROW, 0, 3, 2**40)),
        *(("set_values", (row, (0,))) for row in (NO_ROW, 0, 3, 2**40)),
        *((call, (row,)) for row in (NO_ROW, 0, 3, 2**40) for call in ("key", "payload")),
        *((call, (row,)) for row in (NO_ROW, 0, 3, 2**40) for call in ("values", "remove")),
    ],
)
def test_misuse_is_named_and_changes_nothing(call: str, arguments: tuple[Any, ...]) -> None:
    packed = numbered(3)
    packed.remove(0)
    before = dump_of(packed)
    with pytest.raises(InvariantError):
        getattr(packed, call)(*arguments)
    assert dump_of(packed) == before
    assert packed.find(b"key 1") == 1
    assert packed.find(b"new") == NO_ROW


# Of the dump of two entries and one free row: where its numbers stand.
COUNTS_AT, FREE_ROW_AT, FREE_GRAINS_AT, FREE_PLACE_AT, ROW_AT = 0, 40, 48, 64, 72 + 20


@pytest.mark.parametrize(
    ("at", "damage"),
    [
        (COUNTS_AT, (2).to_bytes(8, "little")),  # rows: the free one is none
        (COUNTS_AT, (2**63).to_bytes(8, "little")),
        (COUNTS_AT + 8, (32).to_bytes(8, "little")),  # the blobs' end
        (COUNTS_AT + 8, (2**63).to_bytes(8, "little")),
        (COUNTS_AT + 16, (1).to_bytes(8, "little")),  # entries
        (COUNTS_AT + 16, (3).to_bytes(8, "little")),
        (COUNTS_AT + 16, (4).to_bytes(8, "little")),
        (COUNTS_AT + 24, (9).to_bytes(8, "little")),  # sizes with a free list
        (FREE_ROW_AT - 8, (2).to_bytes(8, "little")),  # free rows
        (FREE_ROW_AT - 8, (2**60).to_bytes(8, "little")),
        (FREE_PLACE_AT - 8, (4).to_bytes(8, "little")),  # free places of that size
        (FREE_PLACE_AT - 8, (2**60).to_bytes(8, "little")),
        (FREE_ROW_AT, (1).to_bytes(8, "little")),
        (FREE_ROW_AT, (2**64 - 1).to_bytes(8, "little")),
        (FREE_GRAINS_AT, (0).to_bytes(8, "little")),
        (FREE_GRAINS_AT, (2**59).to_bytes(8, "little")),
        (FREE_GRAINS_AT, (129).to_bytes(8, "little")),
        (FREE_PLACE_AT, (33).to_bytes(8, "little")),
        (FREE_PLACE_AT, (96).to_bytes(8, "little")),
        (FREE_PLACE_AT, (2**64 - 32).to_bytes(8, "little")),
        (ROW_AT, (96).to_bytes(8, "little")),  # row 1: its blob's place
        (ROW_AT, (2**64 - 32).to_bytes(8, "little")),
        (ROW_AT + 8, (0).to_bytes(2, "little")),  # its key's bytes
        (ROW_AT + 8, (2**16 - 1).to_bytes(2, "little")),
        (ROW_AT + 10, (0).to_bytes(2, "little")),  # its blob's bytes
        (ROW_AT + 10, (2**16 - 1).to_bytes(2, "little")),
    ],
)
def test_a_dump_that_does_not_hold_together_is_refused(at: int, damage: bytes) -> None:
    packed = numbered(3)
    packed.remove(2)
    dumped = bytearray(dump_of(packed))
    RowMap(1).load(io.BytesIO(dumped).read)
    dumped[at : at + len(damage)] = damage
    with pytest.raises(InvariantError):
        RowMap(1).load(io.BytesIO(dumped).read)


def test_a_dump_cut_short_is_refused_wherever_it_ends() -> None:
    packed = numbered(3)
    packed.remove(2)
    dumped = dump_of(packed)
    for end in (*range(72 + 24), len(dumped) - 1):
        with pytest.raises(InvariantError, match="a dump gives"):
            RowMap(1).load(io.BytesIO(dumped[:end]).read)
