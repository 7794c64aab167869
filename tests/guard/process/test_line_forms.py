"""A line for people, and the same as one JSON object."""

import json

from guard.process.line_forms import ALARM, INFO, json_line_of, line_of, told

NOON_NS = 1_796_126_400_000_000_000  # 2026-12-01T12:00:00Z


def test_text_and_json_say_the_same() -> None:
    text = told("disk_low", "a\nb é\udcff", free_bytes=7, names=["x"])
    assert line_of(NOON_NS, ALARM, text).decode() == (
        "2026-12-01T12:00:00.000Z ALARM: a\\nb é\\udcff\n"
    )
    line = json_line_of(NOON_NS, ALARM, text)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "time": "2026-12-01T12:00:00.000Z",
        "level": "alarm",
        "event": "disk_low",
        "message": "a\nb é\udcff",
        "fields": {"free_bytes": 7, "names": ["x"]},
    }
    plain = json.loads(json_line_of(NOON_NS, INFO, "plain"))
    assert (plain["event"], plain["fields"]) == ("note", {})


def test_a_long_line_is_cut_and_stays_json() -> None:
    many = told("many", "short", changes=["x" * 100] * 100)
    said = json.loads(json_line_of(NOON_NS, INFO, many, 4_096))
    assert (said["message"], said["fields"]) == ("short", {"cut": True})
    for sign in ("x", "é", "\U0001f600", "\n"):
        line = json_line_of(NOON_NS, INFO, sign * 10_000, 4_096)
        assert len(line) <= 4_096
        said = json.loads(line)
        assert said["fields"] == {"cut": True}
        assert said["message"] == sign * len(said["message"])
        assert len(said["message"]) > 300
