# cython: annotation_typing=False
"""A request, with its sender: a place that is filled again and again. Pure.

Owns the fields of every type of request (`guard.protocol.messages` says which type has which), and
with them who sent it and when. One is made at the start and used for every request, so that nothing
is made for any. Compiled, it is a C structure (`request.pxd`).

`mark_price`: of an order's symbol, as it was known then, and `mark_age_ns` how old; 0: none known.
`mark_jump`: the price to which the mark has jumped, if that is not confirmed yet; else 0.
`elapsed_ns`: the log's count of time, by which rates are judged.

`clock_ns`: what the system's clock said, where that is not `received_at_ns`; else 0.

A number that was not said is 0, which no field that may be left out can be; a text then has 0
bytes.
`client_order_id`, `desk` and the other texts stand in `texts`, each in a place of its own; as
attributes they are made when asked for.
"""

from typing import Any, Final

# In the order in which `request.pxd` declares them: what is derived from the fields finds one by
# its place in this list (`guard.protocol.slots`).
REQUEST_NUMBERS: Final = (
    "kind", "quantity", "price", "venue", "risk_bps", "confidence_bps", "minimum_quality_bps",
    "max_p95_latency_ms", "required_capabilities", "allowed_providers", "required_regions",
    "max_fee_microcents", "allow_substitute", "side", "order_type", "time_in_force", "sent_at_ns",
    "executed_at_ns", "mark_price", "mark_age_ns", "mark_jump",
    "elapsed_ns", "as_of_ns", "bid", "ask",
    "batch_first_sequence",
    "fee_microcents", "received_at_ns", "clock_ns",
    "client_order_id_bytes", "desk_bytes", "symbol_bytes", "fill_id_bytes", "currency_bytes",
    "client_bytes", "echo_bytes", "original_client_order_id_bytes",
    "account_bytes", "trader_bytes", "algo_bytes",
)  # fmt: skip

# Of each text its place in `texts`, and the most bytes that it can have. `echo` is the request's
# id as it will stand in the reply: at most 64 characters of six bytes each, in quotes.
TEXTS: Final = {
    "client_order_id": (0, 64),
    "desk": (64, 32),
    "symbol": (96, 32),
    "fill_id": (128, 64),
    "currency": (192, 32),
    "client": (224, 128),
    "echo": (352, 400),
    "original_client_order_id": (752, 64),
    "account": (816, 32),
    "trader": (848, 32),
    "algo": (880, 32),
}


class Request:
    """See the module. `kind`: its number among `guard.protocol.fields.KINDS`."""

    def __init__(self) -> None:
        self.texts: Any = [0] * 912  # compiled: an array in the object
        self.kind = self.quantity = self.price = self.venue = 0
        self.risk_bps = self.confidence_bps = self.minimum_quality_bps = 0
        self.max_p95_latency_ms = self.required_capabilities = self.allowed_providers = 0
        self.required_regions = self.max_fee_microcents = self.allow_substitute = 0
        self.side = self.order_type = self.time_in_force = 0
        self.sent_at_ns = self.executed_at_ns = self.batch_first_sequence = 0
        self.mark_price = self.mark_age_ns = self.mark_jump = self.elapsed_ns = 0
        self.as_of_ns = self.bid = self.ask = 0
        self.fee_microcents = self.received_at_ns = self.clock_ns = 0
        self.client_order_id_bytes = self.desk_bytes = self.symbol_bytes = 0
        self.fill_id_bytes = self.currency_bytes = self.client_bytes = self.echo_bytes = 0
        self.original_client_order_id_bytes = 0
        self.account_bytes = self.trader_bytes = self.algo_bytes = 0

    def text(self, name: str) -> str:
        """One of the texts, by its name in `TEXTS`."""
        at, _ = TEXTS[name]
        count: int = getattr(self, name + "_bytes")
        return bytes(self.texts[at : at + count]).decode()

    def echo(self) -> bytes:
        """The request's id, as it is to stand in the reply."""
        at, _ = TEXTS["echo"]
        return bytes(self.texts[at : at + self.echo_bytes])

    def set_text(self, name: str, value: bytes) -> None:
        """Puts a text; ValueError where it is too long."""
        at, bytes_max = TEXTS[name]
        if len(value) > bytes_max:
            raise ValueError(f"{name} has {len(value)} bytes; must have at most {bytes_max}")
        for index in range(len(value)):
            self.texts[at + index] = value[index]
        setattr(self, name + "_bytes", len(value))

    def put_client(self, name: bytes) -> None:
        """Puts who sent it; a name that is no longer than a text of that kind may be."""
        at = 224
        for index in range(len(name)):
            self.texts[at + index] = name[index]
        self.client_bytes = len(name)

    @property
    def client_order_id(self) -> str:
        """The order's name within its desk."""
        return self.text("client_order_id")

    @property
    def desk(self) -> str:
        """The desk's name."""
        return self.text("desk")

    @property
    def symbol(self) -> str:
        """The instrument's name."""
        return self.text("symbol")

    @property
    def fill_id(self) -> str:
        """The fill's name within its order."""
        return self.text("fill_id")

    @property
    def locate_id(self) -> str:
        """Of an order, out of which it may sell short. It stands where a fill's id does."""
        return self.text("fill_id")

    @property
    def original_client_order_id(self) -> str:
        """The order whose place a replace is to take."""
        return self.text("original_client_order_id")

    @property
    def account(self) -> str:
        """Of an order, whose it is within its desk."""
        return self.text("account")

    @property
    def trader(self) -> str:
        """Of an order, the person whose it is."""
        return self.text("trader")

    @property
    def algo(self) -> str:
        """Of an order, the algorithm that has made it."""
        return self.text("algo")

    @property
    def client(self) -> str:
        """Who sent it."""
        return self.text("client")
