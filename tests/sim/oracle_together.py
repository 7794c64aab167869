"""The oracle's part about orders that stand or fall together: worked out again from the protocol
page, 3.6.

Imports nothing of the product. Whether all would be admitted is tried on a copy of the oracle,
order by order, each remembered there as admitted; the copy is thrown away.
"""

from copy import deepcopy
from typing import Any

from sim.facts import Facts
from sim.oracle_ids import Key
from sim.request_defaults import ORDER_DEFAULTS
from sim.tables import DISK_FULL, NOT_REMEMBERED, Reply, again, content_of

SINCE = 3  # of the rules
NO_TRIAL = ("operations", "terms", "adopted")


class OracleTogether:
    """See the module."""

    rules_version: int
    next_sequence: int
    refused: tuple[str, ...]
    orders: dict[Key, Reply]
    facts: Facts
    queues: dict[int, list[Key]]
    _own: Any
    _judge: Any
    _said: Any
    _record: Any
    _reject: Any
    _sweep: Any
    _forget: Any
    _note: Any
    _admit: Any
    _remember: Any
    _share_of: Any
    _is_expired: Any

    def _all_or_none(self, request: Reply, now_ns: int, wall_ns: int) -> Reply:
        if self.rules_version < SINCE:
            return {"type": "error", "code": "unknown_type", "field": "type"}
        contents = [content_of(order, ORDER_DEFAULTS) for order in request["orders"]]
        said = [self._said(order, wall_ns) for order in request["orders"]]
        known = [self._own(of["desk"], of["client_order_id"], now_ns) for of in contents]
        if any(known):
            found = self._known(contents, known)
            if isinstance(found, dict):
                return found
            index, own = found
            refused = self._reused(contents[index], own)
        else:
            tried = self._try(contents, said, now_ns, wall_ns)
            index, refused = len(tried) - 1, tried[-1]
        if "order" in self.refused:
            return dict(DISK_FULL)
        orders = [{**order, "said": of} for order, of in zip(request["orders"], said, strict=True)]
        is_admitted = refused["type"] == "admit"
        answers = tried if is_admitted else self._because_of(contents, index, refused)
        is_remembered = is_admitted or refused["reason"] not in NOT_REMEMBERED
        if is_remembered:
            for of in contents:
                self._forget((of["desk"], of["client_order_id"]))
        content = {**request, "orders": orders}
        sequence = self._record("all_or_none", content, wall_ns, now_ns)
        for of, beside, answer in zip(contents, said, answers, strict=True):
            is_entry = is_admitted and "reducing" not in answer
            self._note(of, beside, answer.get("notional_microcents", 0), is_entry)
            answer["received_at_ns"] = now_ns
            if is_remembered:
                self._remember(of, answer, sequence, now_ns)
        for of in contents:
            self._sweep(of["desk"], sequence, now_ns)
        told = {} if is_admitted else {"refused_index": index}
        return _answer(answers, sequence, is_admitted, **told)

    def _known(self, contents: list[Reply], known: list[Reply | None]) -> Reply | tuple[int, Reply]:
        """The first answers again; or the place of the first that is known, and it."""
        owns = [own for own in known if own is not None]
        if len(owns) == len(contents):
            is_same = all(
                "replace" not in own and own["content"] == of
                for own, of in zip(owns, contents, strict=True)
            )
            answers = [again(own["answer"]) for own in owns]
            if is_same and len({answer["wal_sequence"] for answer in answers}) == 1:
                refused = [a for a in answers if a["type"] == "reject"]
                told = {"refused_index": _index_of(answers)} if refused else {}
                return _answer(answers, answers[0]["wal_sequence"], not refused, True, **told)
        index = known.index(owns[0])
        return index, owns[0]

    def _reused(self, content: Reply, own: Reply) -> Reply:
        """The reject of an id that is known, be it with the same content."""
        values = own["content"]
        if "replace" in own:  # it is not even an order
            values = {"original_client_order_id": "another"}
        differing = [name for name, value in values.items() if content.get(name) != value]
        detail = {"original_wal_sequence": own["answer"]["wal_sequence"]}
        answer: Reply = self._reject(content, "order", "client_order_id_reused", detail)
        answer["field"] = differing[0] if differing else "client_order_id"
        return answer

    def _try(
        self, contents: list[Reply], said: list[Reply], now_ns: int, wall_ns: int
    ) -> list[Reply]:
        """What each is answered with those before it admitted, up to the first that is not."""
        trial: Any = object.__new__(type(self))
        trial.__dict__ = dict(self.__dict__)
        trial.__dict__ |= deepcopy(
            {name: value for name, value in self.__dict__.items() if name not in NO_TRIAL}
        )
        found: list[Reply] = []
        for content, beside in zip(contents, said, strict=True):
            answer = trial._judge(content, beside, now_ns, wall_ns)
            found.append(answer)
            if answer["type"] != "admit":
                break
            queue = trial.queues[trial._share_of(content["desk"])]
            if queue and trial._is_expired(trial.orders[queue[0]], now_ns):
                del trial.orders[queue.pop(0)]  # as it would be behind a record
            is_entry = "reducing" not in answer
            trial._note(content, beside, answer["notional_microcents"], is_entry)
            trial._remember(content, dict(answer), trial.next_sequence, now_ns)
        self.overruled = trial.overruled
        return found

    overruled: dict[tuple[int, str], Reply]

    def _because_of(self, contents: list[Reply], index: int, refused: Reply) -> list[Reply]:
        detail = {"refused_index": index}
        return [
            refused
            if place == index
            else self._reject(content, "order", "all_or_none_refused", dict(detail))
            for place, content in enumerate(contents)
        ]


def _index_of(answers: list[Reply]) -> int:
    """The place of the one that was refused for itself."""
    return next(
        place for place, answer in enumerate(answers) if answer["reason"] != "all_or_none_refused"
    )


def _answer(
    answers: list[Reply], sequence: int, is_admitted: bool, repeat: bool = False, **told: int
) -> Reply:
    return {
        "type": "all_or_none",
        "wal_sequence": sequence,
        "admitted": is_admitted,
        "repeat": repeat,
        "answers": answers,
        **told,
    }
