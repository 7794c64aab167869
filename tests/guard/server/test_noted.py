"""What an operator is told of at the next beat: each once, and the first few."""

from pathlib import Path

from guard.server.noted import TOLD_MAX
from guard_support import dev_config
from request_path_support import Guard, order


def test_an_execution_of_no_order_is_told(tmp_path: Path) -> None:
    guard = Guard(tmp_path, dev_config())
    guard.ask(order("A-1"))
    trade = {
        "type": "execution", "desk": "desk-alpha", "client_order_id": "X-1", "execution_id": "E-1",
        "venue": 10, "symbol": "AAPL", "side": "buy", "quantity": 1, "price": 5,
    }  # fmt: skip
    guard.ask(trade, trade, {**trade, "desk": "nobody"}, {**trade, "client_order_id": "A-1"})
    noted = guard.path.noted
    assert noted.take_strays() == [("desk-alpha/X-1/E-1", 10), ("nobody/X-1/E-1", 10)]
    assert noted.take_strays() == []
    for number in range(20):
        guard.ask({**trade, "execution_id": f"F-{number}"})
    assert len(noted.take_strays()) == TOLD_MAX
    guard.end()
