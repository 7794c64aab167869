"""The file of example exchanges of the order protocol: what is asked in it, and how it is made.

`python tests/examples_support.py` asks all of it of a daemon on a fresh log and writes
`guard/PROTOCOL.examples.json` anew; a test asks again and holds the replies against the file. Who
changes a reply looks at what has changed there.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from daemon_support import Site
from protocol_client import ProtocolClient, cancel, fill, order, reduce, replace, status

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES_FILE = ROOT / "guard" / "PROTOCOL.examples.json"
CONFIG_FILE = ROOT / "configs" / "dev.toml"
# Keys whose values are other ones in every run; and `used`, where it is the guard's time.
VARYING = ("received_at_ns", "log_id", "head_hash", "software_version", "message")
OLD_NS = 1_000_000_000
ABOUT = (
    "Exchanges of guard/PROTOCOL.md, in this order on one connection to a guard with "
    "configs/dev.toml and a fresh log. Of the requests one array, and `body` where the body is no "
    "well-formed JSON. The values of " + ", ".join(VARYING) + " are other ones in every run."
)
EXECUTION: dict[str, Any] = {
    **cancel("A-2"),
    "type": "execution",
    "execution_id": "E-1",
    "venue": 10,
    "symbol": "AAPL",
    "side": "buy",
    "quantity": 1,
    "price": 19_000,
}


def together(*orders: dict[str, Any]) -> dict[str, Any]:
    """Orders that stand or fall together."""
    return {"type": "all_or_none", "orders": list(orders)}


EXCHANGES: list[tuple[str, Any]] = [
    ("what is spoken and traded here", {"type": "hello", "request_id": 1}),
    ("a page that begins elsewhere", {"type": "hello", "from_desk": "desk-b", "from_venue": 11}),
    ("where the log ends", {"type": "ping", "request_id": "p-1"}),
    ("an order, admitted", order("A-1", request_id=2)),
    ("sent again: the first answer", order("A-1", request_id=3)),
    ("another order under its id", order("A-1", price=19_001)),
    ("what is known of it", status("A-1")),
    ("a part of it is filled", fill("A-1", "F-1", price=18_999, executed_at_ns=OLD_NS)),
    ("the same fill again", fill("A-1", "F-1", price=18_999, executed_at_ns=OLD_NS)),
    ("another fill under its id", fill("A-1", "F-1", quantity=41)),
    ("lots that the venue took off", reduce("A-1", "R-1")),
    ("the same again", reduce("A-1", "R-1")),
    ("another reduction under its id", reduce("A-1", "R-1", quantity=31)),
    ("the rest is off", cancel("A-1")),
    ("the same cancel again", cancel("A-1")),
    ("a fill behind that", fill("A-1", "F-2", quantity=1, fee_microcents=-9)),
    ("another venue is better", order("A-2", venue=20, quantity=1)),
    ("and not wanted", order("A-3", venue=20, allow_substitute=False)),
    ("above the desk's cap", order("A-4", quantity=7_895)),
    ("above the desk's budget", order("A-5", desk="desk-beta", quantity=2_632)),
    ("above its own ceiling of the fee", order("A-6", max_fee_microcents=1)),
    ("a desk that does not exist", order("A-7", desk="desk-omega")),
    ("a symbol that does not exist", order("A-8", symbol="NONE")),
    ("a lot too many", order("A-9", quantity=2**32)),
    ("too risky", order("A-10", risk_bps=9_601)),
    ("too old", order("A-11", sent_at_ns=OLD_NS)),
    ("a refused order has nothing to cancel", cancel("A-4")),
    ("nor has one that nobody knows", {**cancel("A-99"), "request_id": 4}),
    ("several at once", [order("B-1", quantity=1), status("B-1"), {"type": "nothing"}]),
    ("a value out of its range", order("A-12", quantity=0, request_id=5)),
    ("a value of another type", order("A-13", price="19000")),
    ("a key that is missing", {"type": "cancel", "desk": "desk-alpha"}),
    ("a key too many", {**status("A-1"), "mood": "good"}),
    ("a symbol's reference price", {"type": "mark", "symbol": "AAPL", "price": 19_000}),
    ("of no symbol that there is", {"type": "mark", "symbol": "NONE", "price": 1}),
    ("which limits count", {"type": "limits", "desk": "desk-alpha", "symbol": "AAPL"}),
    ("a trade as the drop copy has it", EXECUTION),
    ("the same trade again", EXECUTION),
    ("another trade under its id", EXECUTION | {"quantity": 2}),
    ("what a desk has and works", {"type": "positions", "desk": "desk-alpha"}),
    ("a page of it", {"type": "positions", "desk": "desk-alpha", "from_symbol": "AAPM"}),
    ("of no desk that there is", {"type": "positions", "desk": "desk-omega"}),
    ("orders together, admitted", together(order("G-1", quantity=1), order("G-2", quantity=2))),
    ("the same orders again", together(order("G-1", quantity=1), order("G-2", quantity=2))),
    (
        "all refused because of one",
        {**together(order("G-3", quantity=1), order("G-4", quantity=7_895)), "request_id": 6},
    ),
    ("one of them known already", together(order("G-5", quantity=1), order("G-1", quantity=1))),
    ("of two desks", together(order("G-6"), order("G-7", desk="desk-beta"))),
    ("one id twice", together(order("G-8"), order("G-8"))),
    ("a value out of its range, among others", together(order("G-9"), order("G-10", quantity=0))),
    ("what may not stand within", together(order("G-11"), cancel("A-1"))),
    ("none", together()),
    ("within an array", [together(order("G-12"))]),
    ("an order that is to be changed", order("C-1", quantity=50)),
    ("another one in its place", replace("C-2", "C-1")),
    ("a replace sent again: its first answer", replace("C-2", "C-1")),
    ("a second one, before the venue has spoken", replace("C-3", "C-1", quantity=20)),
    ("both are known, and the larger one is held", status("C-1")),
    ("the venue has replaced", {**cancel("C-2"), "type": "replaced"}),
    ("said again", {**cancel("C-2"), "type": "replaced"}),
    ("the old one does not stand any more", replace("C-3", "C-1", quantity=20)),
    ("a smaller one", replace("C-3", "C-2", quantity=20)),
    ("which the venue rejects", {**cancel("C-3"), "type": "replace_rejected"}),
    ("and does not, say others", {**cancel("C-3"), "type": "replaced"}),
    ("one that replaces none", {**cancel("C-1"), "type": "replaced"}),
    ("one in the place of none", replace("C-9", "C-8")),
    (
        "all that is open of a desk is off, up to a record",
        {"type": "cancel_all", "through_sequence": 20, "of_desk": "desk-alpha"},
    ),
    ("of orders that are not there yet", {"type": "cancel_all", "through_sequence": 9_999}),
    (
        "a scope that its sender does not know",
        {"type": "cancel_all", "through_sequence": 20, "of_desk": None},
    ),
    ("no map", 7),
    ("an empty array", []),
]
BODIES: list[tuple[str, str]] = [
    ("cut short", '{"type":"ping"'),
    ("something behind its end", '{"type":"ping"}{}'),
]


def config_text() -> str:
    """The configuration, on a free port."""
    text = CONFIG_FILE.read_text()
    endpoint = '"tcp://127.0.0.1:7001"'
    assert endpoint in text
    return text.replace(endpoint, '"tcp://127.0.0.1:*"').replace("ephemeral_key = true\n", "")


def without_varying(value: Any) -> Any:
    """A reply with "…" in the place of what is another value in every run."""
    if isinstance(value, list):
        return [without_varying(each) for each in value]
    if not isinstance(value, dict):
        return value
    shown = {
        name: "…" if name in VARYING else without_varying(each) for name, each in value.items()
    }
    if value.get("reason") == "stale_order":
        shown["detail"] = {**value["detail"], "used": "…"}
    return shown


def play(encoding: str = "json") -> list[dict[str, Any]]:
    """Asks everything of a daemon of its own; each request with its reply."""
    played = []
    with tempfile.TemporaryDirectory() as directory:
        site = Site(Path(directory), config_text())
        with site.running() as daemon:
            with ProtocolClient(daemon.endpoint, encoding=encoding) as client:
                for title, request in EXCHANGES:
                    # No map and no array is no JSON body: it does not begin as one.
                    if encoding == "msgpack" or isinstance(request, dict | list):
                        reply = client.ask(request)
                        played.append({"title": title, "request": request, "reply": reply})
                for title, body in BODIES if encoding == "json" else ():
                    reply = client.ask_body(body.encode())
                    played.append({"title": title, "body": body, "reply": reply})
            assert daemon.stop() == 0
    return played


def examples_text() -> str:
    """The file, as a daemon answers now."""
    exchanges = play()
    return json.dumps({"about": ABOUT, "exchanges": exchanges}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    EXAMPLES_FILE.write_text(examples_text())
