"""The order protocol as a JSON Schema, made from the types; and who validates by one.

`python tests/schema_support.py` writes `guard/PROTOCOL.schema.json` anew; a test holds the file
against what is made here. What the types leave to `guard.protocol.wire` (alphabets, upper ends of
u64) is put in by name. The validator knows the keywords that stand in that file, and no other.
"""

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec

from guard.protocol.all_or_none_messages import ORDERS_MAX
from guard.protocol.instruments import NAME_PATTERN
from guard.protocol.messages import (
    PROTOCOL_VERSION,
    REQUEST_TYPES,
    U64_MAX,
    AllOrNone,
    Reply,
)
from guard.protocol.wire import REQUEST_ID_LENGTH_MAX, REQUESTS_PER_MESSAGE_MAX

SCHEMA_FILE = Path(__file__).resolve().parent.parent / "guard" / "PROTOCOL.schema.json"
NAMES = (
    "desk", "symbol", "from_desk", "from_symbol", "of_desk", "of_symbol",
    "account", "trader", "algo",
)  # fmt: skip
IDENTIFIERS = (
    "client_order_id", "fill_id", "reduce_id", "execution_id", "locate_id",
    "original_client_order_id",
)  # fmt: skip
REQUEST_ID = {
    "anyOf": [
        {"type": "integer", "minimum": -(2**63), "maximum": U64_MAX},
        {"type": "string", "maxLength": REQUEST_ID_LENGTH_MAX},
        {"type": "null"},
    ]
}
ABOUT = (
    "Made from the types that the guard itself reads by; guard/PROTOCOL.md says what it all means. "
    "Stricter than a schema can say: integers are written without a fraction or an exponent, "
    "`currency` is the guard's own, a body has at most 262,144 bytes, and the orders of an "
    "`all_or_none` are of one desk, each under another id, and have no `request_id`. Replies may "
    "have further keys."
)


def make_schema() -> dict[str, Any]:
    """The schema of every request and reply."""
    requests, replies = list(REQUEST_TYPES.values()), list(get_args(Reply))
    _, found = msgspec.json.schema_components([*requests, AllOrNone, *replies])
    found["AllOrNone"]["properties"]["orders"] |= {"minItems": 1, "maxItems": ORDERS_MAX}
    for name, one in found.items():
        is_request = any(kind.__name__ == name for kind in requests)
        for key, value in one["properties"].items():
            _complete(key, value, is_request)
        if "request_id" in one["properties"]:
            one["properties"]["request_id"] = REQUEST_ID
    any_request = {"anyOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in requests]}
    any_reply = {"anyOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in replies]}
    bodies = {
        "Request": any_request,
        "RequestBody": {
            "anyOf": [
                {"$ref": "#/$defs/Request"},
                {"$ref": "#/$defs/AllOrNone"},
                _array("#/$defs/Request"),
            ]
        },
        "Reply": any_reply,
        "ReplyBody": {"anyOf": [{"$ref": "#/$defs/Reply"}, _array("#/$defs/Reply")]},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Pretrade Guard: the order protocol, version {PROTOCOL_VERSION}",
        "description": ABOUT,
        "anyOf": [{"$ref": "#/$defs/RequestBody"}, {"$ref": "#/$defs/ReplyBody"}],
        "$defs": bodies | found,
    }


def schema_text() -> str:
    """The file."""
    return json.dumps(make_schema(), indent=1, ensure_ascii=False) + "\n"


def _array(of: str) -> dict[str, Any]:
    return {
        "type": "array",
        "items": {"$ref": of},
        "minItems": 1,
        "maxItems": REQUESTS_PER_MESSAGE_MAX,
    }


def _complete(key: str, value: dict[str, Any], is_request: bool) -> None:
    """Adds to a property what its type cannot say."""
    for part in value.get("anyOf", [value]):
        kind = part.get("type")
        if kind == "string" and key in NAMES:
            part["pattern"] = f"^{NAME_PATTERN.pattern}$"
        elif kind == "string" and key in IDENTIFIERS:
            part["pattern"] = "^[!-~]{1,64}$"
        elif kind == "string" and key == "currency":
            part["pattern"] = "^[A-Z]{3}$"
        elif kind == "integer" and is_request and "maximum" not in part:
            part["maximum"] = U64_MAX


KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}
SAID_OTHERWISE = {"title", "description", "default", "discriminator", "$schema", "$defs"}


class Validator:
    """Of one schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._root = schema

    def takes(self, name: str, value: Any) -> bool:
        """Is the value one of that definition?"""
        return not self.faults({"$ref": f"#/$defs/{name}"}, value)

    def faults(self, schema: Any, value: Any) -> list[str]:
        """What is wrong with a value."""
        if schema is False:
            return [f"{value!r} is not allowed"]
        found = []
        for word, rule in schema.items():
            if word not in SAID_OTHERWISE:
                check = getattr(self, "_" + word.removeprefix("$"))  # an unknown keyword fails
                found += check(rule, value, schema)
        return found

    def _ref(self, rule: str, value: Any, _schema: Any) -> list[str]:
        return self.faults(self._root["$defs"][rule.removeprefix("#/$defs/")], value)

    def _anyOf(self, rule: list[Any], value: Any, _schema: Any) -> list[str]:  # noqa: N802
        each = [self.faults(one, value) for one in rule]
        return [] if [] in each else [f"none of {each}"]

    def _type(self, rule: str, value: Any, _schema: Any) -> list[str]:
        is_it = isinstance(value, KINDS[rule]) and (rule == "boolean") == (type(value) is bool)
        return [] if is_it else [f"{value!r} is no {rule}"]

    def _enum(self, rule: list[Any], value: Any, _schema: Any) -> list[str]:
        return [] if value in rule else [f"{value!r} is none of {rule}"]

    def _pattern(self, rule: str, value: Any, _schema: Any) -> list[str]:
        good = not isinstance(value, str) or re.search(rule.replace("$", r"\Z"), value)
        return [] if good else [f"{value!r} does not match {rule}"]

    def _minimum(self, rule: int, value: Any, _schema: Any) -> list[str]:
        return [f"{value} < {rule}"] if isinstance(value, int) and value < rule else []

    def _maximum(self, rule: int, value: Any, _schema: Any) -> list[str]:
        return [f"{value} > {rule}"] if isinstance(value, int) and value > rule else []

    def _minLength(self, rule: int, value: Any, _schema: Any) -> list[str]:  # noqa: N802
        return [f"{value!r} is too short"] if isinstance(value, str) and len(value) < rule else []

    def _maxLength(self, rule: int, value: Any, _schema: Any) -> list[str]:  # noqa: N802
        return [f"{value!r} is too long"] if isinstance(value, str) and len(value) > rule else []

    def _minItems(self, rule: int, value: Any, _schema: Any) -> list[str]:  # noqa: N802
        return ["too few items"] if isinstance(value, list) and len(value) < rule else []

    def _maxItems(self, rule: int, value: Any, _schema: Any) -> list[str]:  # noqa: N802
        return ["too many items"] if isinstance(value, list) and len(value) > rule else []

    def _required(self, rule: list[str], value: Any, _schema: Any) -> list[str]:
        if not isinstance(value, dict):
            return []
        return [f"{name} is missing" for name in rule if name not in value]

    def _properties(self, rule: dict[str, Any], value: Any, _schema: Any) -> list[str]:
        if not isinstance(value, dict):
            return []
        return [
            fault
            for name, one in rule.items()
            if name in value
            for fault in self.faults(one, value[name])
        ]

    def _additionalProperties(self, rule: Any, value: Any, schema: Any) -> list[str]:  # noqa: N802
        if not isinstance(value, dict):
            return []
        known = schema.get("properties", {})
        return [
            fault
            for name, one in value.items()
            if name not in known
            for fault in self.faults(rule, one)
        ]

    def _prefixItems(self, rule: list[Any], value: Any, _schema: Any) -> list[str]:  # noqa: N802
        if not isinstance(value, list):
            return []
        return [
            fault
            for one, item in zip(rule, value, strict=False)
            for fault in self.faults(one, item)
        ]

    def _items(self, rule: Any, value: Any, schema: Any) -> list[str]:
        if not isinstance(value, list):
            return []
        rest = value[len(schema.get("prefixItems", [])) :]
        return [fault for item in rest for fault in self.faults(rule, item)]


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text())
