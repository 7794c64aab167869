"""What outsiders' bytes come to beside the door's state machine, and what must hold of it. Pure.

Each target takes one input of a fuzzer, or a mutation of its seeds, and raises where a promise is
broken: nothing but the reader's own error comes out, and what is taken means one thing. It says
whether the input was taken, so that a test sees that the seeds are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from random import Random
from types import SimpleNamespace
from typing import Final, NamedTuple

from guard.admin.errors import AdminError
from guard.admin.messages import decode_request as decode_admin
from guard.admin.messages import encode_request as encode_admin
from guard.audit.check import PROOF_ERRORS, ProvenRecord, check_proof
from guard.audit.notes import SigningKey
from guard.audit.tlog import (
    Checkpoint,
    ConsistencyProof,
    InclusionProof,
    decode_proof,
    encode_consistency_proof,
    encode_inclusion_proof,
    sign_checkpoint,
)
from guard.config.errors import ConfigError
from guard.config.file import parse_config
from guard.feed.messages import FeedError
from guard.feed.messages import decode_request as decode_feed
from guard.record.codec import DIALECT, RecordError, decode_data
from guard.server.commands import CommandError, metadata_from
from guard.server.curve import CurveDoor, CurveMechanism
from guard.server.policy import REQUESTERS
from guard_support import DEV_CONFIG_TEXT
from wal import (
    GENESIS,
    ChainHasher,
    MerkleTree,
    WalEntryError,
    encode_line,
    leaf_hash,
    leaf_of,
    parse_line,
)
from wal.manifest import is_hash

_TAG_BYTES: Final = 16
_NAMES: Final = (b"HELLO", b"INITIATE", b"READY", b"ERROR")
_CLIENT_KEY: Final = b"c" * 32
_PEER_KEY: Final = b"p" * 32
_DOOR_KEY: Final = b"d" * 32
_ORIGIN: Final = "guard.example.com/fuzz"
_SIGNING_KEY: Final = SigningKey(_ORIGIN, bytes(range(32)))


class _OpenDoor(CurveDoor):
    """A door whose boxes are open: no fuzzer gets behind those that are shut.

    What it then reads is what a peer with a key of its own can say.
    """

    def __init__(self) -> None:
        self.public_key = self.secret_key = _DOOR_KEY
        self.own_type, self.peer_types = b"ROUTER", REQUESTERS
        self.admits = lambda key: key == _CLIENT_KEY
        self.rate = SimpleNamespace(takes=lambda: True)  # type: ignore[assignment]
        self.boxes = SimpleNamespace(
            crypto_box_keypair=lambda: (bytes(32), bytes(32)),
            crypto_box_easy_afternm=lambda content, _nonce, _key: bytes(_TAG_BYTES) + content,
        )

    def open(self, box: bytes, nonce: bytes, key: bytes) -> bytes:
        assert (len(nonce), len(key)) == (24, 32)
        return box[_TAG_BYTES:]

    def shared(self, public_key: bytes, secret_key: bytes) -> bytes:
        assert len(public_key) == len(secret_key) == 32
        return bytes(32)


def check_curve(data: bytes) -> bool:
    """A handshake's commands, one behind the other: a byte for the name, two for the length."""
    mechanism = CurveMechanism(_OpenDoor())
    at = 0
    while at + 3 <= len(data):
        name = _NAMES[data[at] % len(_NAMES)]
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        said = data[at + 3 : at + 3 + size]
        at += 3 + size
        try:
            step = mechanism.take(name, said)
        except CommandError:
            return False
        assert (step.metadata is None) == (step.key is None) == (step.sealer is None)
        if step.metadata is not None:
            assert name == b"INITIATE"
            assert step.key == _CLIENT_KEY
            assert step.metadata.socket_type in REQUESTERS
            return True
    return False


def check_admin(data: bytes) -> bool:
    """An operator's body. What is taken is the same once it was written and read again."""
    try:
        request = decode_admin(data)
    except AdminError:
        return False
    assert decode_admin(encode_admin(request)) == request
    return True


def check_feed(data: bytes) -> bool:
    """A subscriber's body."""
    try:
        decode_feed(data)
    except FeedError:
        return False
    return True


def check_configuration(data: bytes) -> bool:
    """A configuration file's text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    try:
        parse_config(text)
    except ConfigError:
        return False
    return True


def check_proofs(data: bytes) -> bool:
    """A proof: one form alone, and nothing but what was signed."""
    try:
        proof = decode_proof(data)
    except PROOF_ERRORS:
        return False
    if isinstance(proof, InclusionProof):
        assert encode_inclusion_proof(proof) == data
    elif isinstance(proof, ConsistencyProof):
        assert encode_consistency_proof(proof) == data
    try:
        proven = check_proof(data, _SIGNING_KEY.verifier_key, _ORIGIN)
    except PROOF_ERRORS:
        return False
    if isinstance(proven, ProvenRecord):
        assert isinstance(proof, InclusionProof)
        assert proof.leaf == leaf_of(proven.entry)
        assert proof.leaf in _LEAVES
    return True


def check_log(data: bytes) -> bool:
    """A line of a log, and the event in it."""
    DIALECT.key_change(data)
    DIALECT.named_key_id(data)
    DIALECT.batch_first_sequence(data)
    try:
        entry = parse_line(data)
    except WalEntryError:
        return False
    DIALECT.key_change(entry.data)
    if is_hash(entry.previous_hash) and is_hash(entry.entry_hash):
        assert parse_line(leaf_of(entry) + b"\n") == entry
    try:
        decode_data(entry.data)
    except RecordError:
        return False
    return True


class Target(NamedTuple):
    """`seeds` are taken; `modules` are those whose ways a fuzzer is told of."""

    check: Callable[[bytes], bool]
    seeds: tuple[bytes, ...]
    modules: tuple[str, ...]


def _command(name: bytes, data: bytes) -> bytes:
    return bytes((_NAMES.index(name),)) + len(data).to_bytes(2, "big") + data


def _handshake(metadata: bytes) -> bytes:
    tag, nonce = bytes(_TAG_BYTES), (1).to_bytes(8, "big")
    hello = b"\x01\x00" + bytes(72) + _PEER_KEY + nonce + tag + bytes(64)
    cookie = bytes(16) + tag + _PEER_KEY + bytes(32)
    vouch = bytes(16) + tag + _PEER_KEY + _DOOR_KEY
    box = tag + _CLIENT_KEY + vouch + metadata
    return _command(b"HELLO", hello) + _command(b"INITIATE", cookie + b"\0" * 7 + b"\2" + box)


def _lines() -> list[bytes]:
    hasher, previous, lines = ChainHasher(b"k" * 32), GENESIS, []
    head = '"received_at_ns":1700000000000000000,"client":"local","batch_first_sequence":1,'
    who = '"by":"somebody","why":"a seed",'
    key = (
        '"key":{"key_id":"0123456789abcdef","previous_key_id":"fedcba9876543210",'
        '"sealed_segment":"00000001.jsonl","sealed_bytes":7,"sealed_sha256":"%s","key_number":3}'
    ) % ("ab" * 32)
    for sequence, data in enumerate(
        (
            f'{{"event":"key_changed",{head}{who}{key}}}',
            f'{{"event":"session_started",{head}{who}"epoch":2,"software_version":"1","recovered_'
            f'sequence":1,"recovered_hash":"{"cd" * 32}","after_clean_stop":true,"cuts":[],{key}}}',
            f'{{"event":"session_closed",{head}"by":"somebody","why":"a seed"}}',
        ),
        1,
    ):
        made = hasher.entry_hash(previous, data.encode())
        lines.append(encode_line(sequence, previous, made, data.encode()))
        previous = made
    return lines


def _proofs() -> tuple[bytes, ...]:
    """Of a head, of the second of three records, and that three go on from the first."""
    tree = MerkleTree()
    heads = []
    for index, leaf in enumerate(_LEAVES):
        if index == 1:
            tree.follow_size()
            tree.follow_next()
        tree.append(leaf_hash(leaf))
        heads.append(sign_checkpoint(Checkpoint(_ORIGIN, tree.size, tree.root()), _SIGNING_KEY))
    record = InclusionProof(_LEAVES[1], 1, tuple(tree.inclusion_proof(1)), heads[-1])
    goes_on = ConsistencyProof(heads[0], tuple(tree.consistency_proof(1)), heads[-1])
    return heads[-1], encode_inclusion_proof(record), encode_consistency_proof(goes_on)


def mutations(seeds: Iterable[bytes], count: int, seed: int) -> Iterable[bytes]:
    """So many changed inputs, the same ones for the same `seed`."""
    random, known = Random(seed), list(seeds)
    for _ in range(count):
        data = bytearray(random.choice(known))
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(data) + 1)
            match random.randrange(4):
                case 0:
                    data[at : at + 1] = bytes((random.randrange(256),))
                case 1:
                    del data[at : at + random.randint(1, 8)]
                case 2:
                    data[at:at] = random.choice(known)[at : at + random.randint(1, 40)]
                case _:
                    if at < len(data):
                        data[at] ^= 1 << random.randrange(8)
        yield bytes(data)


_LEAVES: Final = [line[:-1] for line in _lines()]
_METADATA: Final = metadata_from(b"DEALER")
TARGETS: Final = {
    "curve": Target(
        check_curve, (_handshake(_METADATA),), ("guard.server.curve", "guard.server.commands")
    ),
    "admin": Target(
        check_admin,
        tuple(
            json.dumps(body).encode()
            for body in (
                {"type": "halt", "action_id": "a-1", "why": "w", "scope": "desk", "name": "d"},
                {"type": "desks", "request_id": 7, "limit": 5},
                {"type": "health"},
            )
        ),
        ("guard.admin.bodies", "guard.record.words"),
    ),
    "feed": Target(
        check_feed,
        (b'{"type":"subscribe","after_sequence":1,"credit_lines":5,"desks":["d"],"request_id":1}',),
        ("guard.admin.bodies", "guard.record.words"),
    ),
    "configuration": Target(
        check_configuration,
        (DEV_CONFIG_TEXT.encode(),),
        ("guard.config.file", "guard.config.limits", "guard.config.clients"),
    ),
    "proofs": Target(check_proofs, _proofs(), ("guard.audit.check", "guard.audit.tlog")),
    "log": Target(check_log, tuple(_lines()), ("wal.entry", "guard.record.codec")),
}
