"""The table of entry checks is the protocol's, row by row."""

import re

import pytest

from guard.engine.checks import CHECKS_BEFORE_KERNEL, CHECKS_BEHIND_KERNEL, Check
from guard.engine.events import RULES_VERSION
from guard.protocol.fields import DETAILS, GATES, REASON_WORDS, STAGES, detail_of_reason
from guard.protocol.reasons import Refusal, stage_of
from guard_support import CHECKOUT
from kernel import GATE_REASONS, Action, Reason

PROTOCOL = (CHECKOUT / "guard" / "PROTOCOL.md").read_text()
SECTION = PROTOCOL[PROTOCOL.index("### 3.3") : PROTOCOL.index("### 3.4")]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in SECTION.splitlines()
    if line.startswith("| `")
]
CHECKS = [*CHECKS_BEFORE_KERNEL, *CHECKS_BEHIND_KERNEL]
KERNEL_REFUSES = {reason.snake for reason in Reason if reason >= Reason.RISK_HARD_LIMIT}


def words_of(row: list[str]) -> list[str]:
    """The reasons that a row of the protocol's table names."""
    return re.findall(r"`([a-z_]+)`", row[1].split(":")[0])


def test_the_protocols_table_is_that_of_the_checks_in_its_order() -> None:
    written = [(row[0].strip("`"), words_of(row)) for row in ROWS]
    # Neither is a check: what an id had first, and what became of an order's brothers.
    assert written[0] == ("order", ["client_order_id_reused"])
    assert written.pop() == ("order", ["all_or_none_refused"])
    expected: list[tuple[str, list[str]]] = []
    current = [check for check in CHECKS if check.until_version == RULES_VERSION]
    for check in current:
        if check.number:
            expected.append((STAGES[check.stage], [REASON_WORDS[check.number]]))
    rules = [row for row in written[1:] if not KERNEL_REFUSES.issuperset(row[1])]
    assert rules == expected
    kernels = [place for place, row in enumerate(written) if KERNEL_REFUSES.issuperset(row[1])]
    assert {word for place in kernels for word in written[place][1]} == KERNEL_REFUSES
    # The kernel's own stand together, where its check does.
    first = 1 + next(place for place, check in enumerate(current) if check.number == 0)
    assert kernels == [first, first + 1]


def test_every_refusal_is_a_row_and_stands_in_its_stage() -> None:
    numbers = {check.number for check in CHECKS} - {0}
    assert numbers == set(Refusal) - {
        Refusal.CLIENT_ORDER_ID_REUSED,
        Refusal.ALL_OR_NONE_REFUSED,
    }
    for check in CHECKS:
        if check.number:
            assert STAGES[check.stage] == stage_of(Refusal(check.number))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: words_of(row)[0])
def test_the_protocol_names_the_members_of_each_detail(row: list[str]) -> None:
    for word in words_of(row):
        code = REASON_WORDS.index(word)
        names = DETAILS[detail_of_reason(code)]
        for name in names:
            if name not in GATES:
                assert name in row[2], (word, name)
            else:
                assert "counts" in row[2] or name in row[2]
        assert names or row[2] == "empty"


def test_what_bars_the_kernel_stands_before_it() -> None:
    assert [check.bars_kernel for check in CHECKS_BEFORE_KERNEL] == [False] * 2 + [True] * 4
    assert not any(check.bars_kernel for check in CHECKS_BEHIND_KERNEL)
    assert len(GATE_REASONS) == len(GATES)
    assert int(Action.REJECT) == 3


def test_a_check_says_what_it_looks_at() -> None:
    scopes = {check.scope for check in CHECKS}
    assert scopes == {
        "order",
        "guard",
        "firm",
        "customer",
        "desk",
        "account",
        "trader",
        "algo",
        "symbol",
        "limits",
        "policy",
    }
    assert all(isinstance(check, Check) for check in CHECKS)
