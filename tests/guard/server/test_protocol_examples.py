"""The examples beside the page, asked of a real daemon; every reply is one of the schema's."""

import json
from typing import Any

import pytest

from examples_support import BODIES, EXAMPLES_FILE, EXCHANGES, play, without_varying
from guard.protocol.messages import REQUEST_TYPES
from schema_support import Validator, make_schema

pytestmark = pytest.mark.slow

VALIDATOR = Validator(make_schema())
KINDS = {
    *("admit", "reject", "filled", "released", "status", "pong", "hello", "error"),
    *("marked", "limits", "positions", "reduced", "executed", "canceled_all", "replace_settled"),
    "all_or_none",
}
# What the orders of one request have to do with each other.
BEYOND_A_SCHEMA = {"of two desks", "one id twice"}


def _exchanges() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(EXAMPLES_FILE.read_text())["exchanges"]
    return found


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_daemon_answers_as_the_file_says(encoding: str) -> None:
    """`python tests/examples_support.py` writes it anew."""
    written = {each["title"]: each for each in _exchanges()}
    played = play(encoding)
    assert len(played) >= len(EXCHANGES) - 1
    for each in played:
        if each["title"] in written:
            said = written[each["title"]]
            assert said.get("request") == each.get("request")
            assert without_varying(each["reply"]) == without_varying(said["reply"]), each["title"]
        assert VALIDATOR.takes("ReplyBody", each["reply"]), each


def test_the_file_shows_every_type_and_the_bad_ones_too() -> None:
    exchanges = _exchanges()
    titles = [each["title"] for each in exchanges]
    assert len(set(titles)) == len(titles) == len(EXCHANGES) - 1 + len(BODIES)
    asked = [each["request"] for each in exchanges if "request" in each]
    kinds = {each.get("type") for each in asked if isinstance(each, dict)}
    assert kinds >= {*REQUEST_TYPES, "all_or_none"} - {"stats"}
    assert {each["reply"]["type"] for each in exchanges if isinstance(each["reply"], dict)} == KINDS
    for each in exchanges:
        request, reply = each.get("request"), each["reply"]
        if each["title"] in BEYOND_A_SCHEMA:
            continue
        is_wrong = isinstance(reply, dict) and reply.get("code") in (
            *("missing_field", "unknown_field", "invalid_field", "unknown_type", "empty_array"),
        )
        if isinstance(request, dict) or request == []:
            assert VALIDATOR.takes("RequestBody", request) == (not is_wrong), each["title"]
