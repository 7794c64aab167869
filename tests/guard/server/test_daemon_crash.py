"""kill -9 under load, at random points, again and again on one log: nothing answered is lost,
nothing acts twice.

Each round sends orders, fills and cancels over one pipelined socket, kills the daemon when a random
number of replies has come, restarts it and sends everything of that round again: what was answered
is answered the same, the rest gets one answer.
"""

import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import calybris
import pytest
import zmq

from daemon_support import KEY, Daemon, Site, config_text
from guard.replay.replay import replay_log
from protocol_client import PATIENCE_MS, ProtocolClient, cancel, fill, order, status
from wal import ChainHasher

pytestmark = pytest.mark.slow

IS_LONG = bool(os.environ.get("PRETRADE_GUARD_LONG"))
ROUNDS = 60 if IS_LONG else 5
ORDERS_A_ROUND = 400
IN_FLIGHT = 128
DESKS = {
    "desk-alpha": ("2000000.00", "1500000.00"),
    "desk-beta": ("900000000.00", "none"),
}
# What distinguishes a repeat from the first answer.
REPEAT = "repeat"


@dataclass
class Account:
    """What the client knows: every request it sent, and the first answer it saw to each."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)

    def note(self, request: dict[str, Any], reply: Any) -> None:
        """A first answer is kept; every later one must be the same, and say that it repeats."""
        name = _name(request)
        known = self.answers.get(name)
        if known is None:
            # Recorded before the kill and answered only now, it says that it repeats.
            self.answers[name] = reply if reply["type"] == "error" else {**reply, REPEAT: False}
        elif reply["type"] == "error":
            assert reply == known, name
        else:
            assert reply == {**known, REPEAT: True}, name


def _name(request: dict[str, Any]) -> str:
    order_id = request["client_order_id"]
    return f"{request['type']} {request['desk']} {order_id} {request.get('fill_id', '')}"


def _script(seed: int, prefix: str) -> list[dict[str, Any]]:
    """The requests of a round: orders, some of them filled in part or whole, some canceled."""
    draw = random.Random(seed)
    requests: list[dict[str, Any]] = []
    for index in range(ORDERS_A_ROUND):
        desk = draw.choice(list(DESKS))
        name = f"{prefix}-{index}"
        one = order(name, desk=desk, quantity=draw.randint(1, 300), price=draw.randint(1, 20_000))
        requests.append(one)
        for number in range(draw.choice([0, 0, 1, 2])):
            quantity = draw.randint(1, one["quantity"])
            fee = draw.randint(-9, 5_000)
            requests.append(
                fill(name, f"F-{number}", desk=desk, quantity=quantity, fee_microcents=fee)
            )
        if draw.random() < 0.3:
            requests.append(cancel(name, desk))
    return requests


def _load_and_kill(daemon: Daemon, requests: list[dict[str, Any]], kill_after: int) -> list[Any]:
    """Sends as long as the daemon lives; the replies that came, in order."""
    replies: list[Any] = []
    with ProtocolClient(daemon.endpoint, encoding="msgpack") as client:
        monitor = client.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        for sent, request in enumerate(requests):
            client.send({**request, "request_id": sent})
            if sent - len(replies) >= IN_FLIGHT:
                replies.append(client.receive())
                if len(replies) == kill_after:
                    break
        daemon.kill()
        # What had left the daemon still arrives, and then the end of the connection.
        assert monitor.poll(PATIENCE_MS)
        while client.socket.poll(0):
            replies.append(client.receive())
        client.socket.disable_monitor()
        monitor.close(linger=0)
    assert len(replies) >= kill_after
    return replies


def _check_statuses(client: ProtocolClient, account: Account) -> dict[str, int]:
    """Each answered order is there with its first answer; the open holds of each desk."""
    holds = dict.fromkeys(DESKS, 0)
    orders = [request for request in account.requests if request["type"] == "order"]
    for start in range(0, len(orders), 256):
        part = orders[start : start + 256]
        replies = client.ask([status(each["client_order_id"], each["desk"]) for each in part])
        for request, reply in zip(part, replies, strict=True):
            assert reply["answer"] == account.answers.get(_name(request), reply["answer"])
            holds[request["desk"]] += reply["hold_microcents"]
    return holds


def _holds_by_answers(account: Account) -> dict[str, int]:
    """What the answers say is held: admitted less released."""
    holds = dict.fromkeys(DESKS, 0)
    for request in account.requests:
        reply = account.answers[_name(request)]
        holds[request["desk"]] += reply.get("notional_microcents", 0)
        holds[request["desk"]] -= reply.get("released_microcents", 0)
    return holds


def _check_after_crash(daemon: Daemon, account: Account, sent: list[dict[str, Any]]) -> None:
    with ProtocolClient(daemon.endpoint, encoding="json") as client:
        account.requests += sent
        _check_statuses(client, account)
        for _ in range(2):
            for request in sent:
                client.send(request)
            for request in sent:
                account.note(request, client.receive())
        assert _check_statuses(client, account) == _holds_by_answers(account)


def test_nothing_answered_is_lost_and_nothing_acts_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("PRETRADE_GUARD_SEED", "0")) or random.randrange(1, 2**32)
    print(f"seed: PRETRADE_GUARD_SEED={seed}")
    draw = random.Random(seed)
    site = Site(tmp_path, config_text(desks=DESKS))
    account = Account()
    sent: list[dict[str, Any]] = []
    unanswered = 0
    for number in range(ROUNDS):
        with site.running() as daemon:
            _check_after_crash(daemon, account, sent)
            sent = _script(seed + number, f"R{number}")
            kill_after = draw.randint(1, len(sent) - IN_FLIGHT - 1)
            replies = _load_and_kill(daemon, sent, kill_after)
        for index, reply in enumerate(replies):
            assert reply.pop("request_id") == index
            account.note(sent[index], reply)
        unanswered += len(sent) - len(replies)
    with site.running() as daemon:
        _check_after_crash(daemon, account, sent)
        assert daemon.stop() == 0
    assert unanswered >= ROUNDS, "no round had anything under way when it was killed"
    _check_log(site, account)


def _check_log(site: Site, account: Account) -> None:
    verified, replayed = site.verify(), site.replay()
    assert verified["head_hash"] == replayed["head_hash"]
    assert verified["closed_cleanly"] is True
    events = replayed["events"]
    assert events["session_started"] == ROUNDS
    assert events["session_closed"] == 1
    answers = [answer for answer in account.answers.values() if answer["type"] != "error"]
    decided = {answer["wal_sequence"] for answer in answers}
    assert len(decided) == len(answers), "two answers for one record"
    recorded = sum(events.get(kind, 0) for kind in ("order", "order_refused", "fill", "release"))
    assert recorded == len(decided), "a record that no request is answered with"
    report = replay_log(site.log, ChainHasher(KEY))
    holds = _holds_by_answers(account)
    for desk in DESKS:
        assert report.engine.state.ledger.reserved_microcents(desk) == holds[desk]
    head = (verified["head_sequence"], verified["head_hash"])
    whole = site.root / "whole.jsonl"
    whole.write_bytes(b"".join(path.read_bytes() for path in site.segments))
    assert calybris.verify_audited_wal(whole, hmac_key=KEY) == head
