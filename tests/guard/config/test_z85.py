"""Z85: RFC 32's own example, both ways, and what is no key."""

import pytest
import zmq.utils.z85

from guard.config.z85 import key_from, text_of


@pytest.mark.parametrize("key", [bytes(32), b"\xff" * 32, bytes(range(32)), bytes(range(224, 256))])
def test_both_ways_as_zeromq_has_it(key: bytes) -> None:
    text = text_of(key)
    assert text == zmq.utils.z85.encode(key).decode()
    assert key_from(text) == key


def test_the_rfc_s_example() -> None:
    assert text_of(bytes.fromhex("864FD26FB559F75B")) == "HelloWorld"


@pytest.mark.parametrize("text", ["", "0" * 39, "0" * 41, "0" * 39 + '"', "0" * 39 + "é", "#" * 40])
def test_what_is_no_key_is_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"^allowed: a key as Z85 text of 40 characters$"):
        key_from(text)
