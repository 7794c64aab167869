# cython: annotation_typing=False, nonecheck=True
"""The limits in force: what the tree says of a desk in a symbol, worked out once. Pure.

Owns the resolved limits. A desk that the tree names has a class of its own, all others share class
0, and symbols likewise; for each pair of classes there is one `Effective`, made when it is first
asked for and kept until the tree changes. So an order finds its limits by two indices, and memory
grows with what the tree names, not with desks times symbols; pairs of classes for which the same
counts share one. Owns the buckets of rates, too, which outlive a change of the tree where scope,
kind and window stay the same.

How it fails: `ValueError` for a tree that cannot be (`guard.protocol.limits`).
"""

from collections.abc import Sequence
from struct import pack
from typing import Final

from msgspec import UNSET

from guard.engine.accounts import Accounts
from guard.engine.rates import CANCELS, EXECUTIONS, NOTIONAL, ORDERS, REPLACES, Bucket
from guard.engine.recent import Recent
from guard.engine.repeated import Repeated
from guard.protocol import fields
from guard.protocol.limits import (
    KEYS,
    NO_LIMIT,
    OWN_KEYS,
    RECONCILE,
    SELF_MATCH,
    UNSAID,
    LimitKey,
    LimitScope,
    Scope,
    ScopeKey,
    own_values,
    stricter,
    value_of,
)
from guard.protocol.reasons import Refusal
from guard.protocol.request import TEXTS, Request
from kernel import little_endian as le

BucketKey = tuple[str, str, str, int]
# So many desks, symbols and names together are worked out at a time: about 1 KB each.
NAMED_KEPT_MAX: Final = 65_536
_ACCOUNT_AT, _TRADER_AT, _ALGO_AT = (TEXTS[name][0] for name in fields.ORDER_NAMES)
_ALL: Final = 0  # the class of those that the tree does not name
_NS_PER_MS = 1_000_000
_SELF_MATCH: Final = KEYS[SELF_MATCH]


class Effective:
    """What counts for a desk in a symbol: of each key the value and the scope that said it.

    `venues`: None where all are allowed; `drop_copy_venues`: None where all have a drop copy, if
    there is any. `symbol_refusal`: why the symbol may not be traded; 0.
    `buckets`: the rates, the widest scope's first; those that an order asks by kind, too.
    """

    def __init__(self) -> None:
        self.values = [-1] * 64
        self.scopes = [0] * 64
        self.venues: frozenset[int] | None = None
        self.drop_copy_venues: frozenset[int] | None = None
        self.venue_scope = self.symbol_refusal = self.symbol_scope = 0
        self.buckets: list[Bucket] = []
        self.order_buckets: list[Bucket] = []
        self.replace_buckets: list[Bucket] = []
        self.notional_buckets: list[Bucket] = []
        self._venue_row = memoryview(bytearray(4)).cast("I")  # those allowed, in ascending order
        self._venue_count = 0

    def allow(self, venues: frozenset[int], scope: int) -> None:
        """These alone are allowed, as that scope says."""
        self.venues, self.venue_scope, self._venue_count = venues, scope, len(venues)
        self._venue_row = memoryview(bytearray(4 * len(venues) + 4)).cast("I")
        for index, venue in enumerate(sorted(venues)):
            self._venue_row[index] = venue

    def allows(self, venue: int) -> bool:
        """May an order go there?"""
        if self.venues is None:
            return True
        low, high = 0, self._venue_count
        while low < high:
            middle = (low + high) >> 1
            if self._venue_row[middle] < venue:
                low = middle + 1
            else:
                high = middle
        return low < self._venue_count and self._venue_row[low] == venue

    def add_bucket(self, bucket: Bucket) -> None:
        """One more rate counts."""
        self.buckets.append(bucket)
        if bucket.kind == ORDERS:
            self.order_buckets.append(bucket)
        elif bucket.kind == REPLACES:
            self.replace_buckets.append(bucket)
        elif bucket.kind == NOTIONAL:
            self.notional_buckets.append(bucket)

    def content(self) -> tuple[object, ...]:
        """All of it: two of which this is the same are the same."""
        values = [self.values[number] for number in range(len(KEYS))]
        scopes = [self.scopes[number] for number in range(len(KEYS))]
        return (
            pack(f"<{len(KEYS)}q{len(KEYS)}B", *values, *scopes),
            self.venues,
            self.drop_copy_venues,
            self.venue_scope,
            self.symbol_refusal,
            self.symbol_scope,
            tuple(self.buckets),  # each is equal to itself alone
        )

    def value(self, number: int) -> int:
        """Of the key of that number: UNSAID, NO_LIMIT, or the limit."""
        return self.values[number]

    def scope(self, number: int) -> int:
        """Which scope said it."""
        return self.scopes[number]

    def is_copied(self, venue: int) -> bool:
        """Is there a drop copy of what that venue executes?"""
        if self.values[RECONCILE] == UNSAID:
            return False
        return self.drop_copy_venues is None or venue in self.drop_copy_venues

    def put(self, number: int, value: int, scope: int) -> None:
        """What counts of a key, and who says so."""
        self.values[number] = value
        self.scopes[number] = scope


class Limits:
    """The tree in force, and what it comes to. `times_set`: since this process has it, for who asks
    whether it is another one, be it with the same content.
    """

    def __init__(self) -> None:
        self.tree: list[LimitScope] = []
        self.digest_hex = ""
        self.times_set = 0
        self.buckets: dict[BucketKey, Bucket] = {}
        self.counts_orders = False  # of what is admitted something is remembered
        self.has_drop_copy = False  # there is one, of some desk and symbol
        self.counts_facts = False  # of fills and cancels something is
        self.bounds_money = False  # of what positions are worth
        self.guards_marks = False  # some scope says which jump of a mark is none yet
        self.loss_scopes: dict[str, list[LimitScope]] = {}  # by desk, of those that bound losses
        self.watches_own_orders = False  # at which prices orders work
        self.recent = Recent()
        self.repeated = Repeated()
        self._scopes: dict[tuple[str, str], LimitScope] = {}
        self._desks = [""]
        self._symbols = [""]
        self._desk_classes: dict[str, int] = {}
        self._symbol_classes: dict[str, int] = {}
        self._table: list[list[Effective | None]] = [[]]
        self._shared: dict[object, Effective] = {}  # by content
        self.has_named = False  # some customer, account, trader or algorithm has limits
        self._names: list[ScopeKey] = []  # of which scopes
        # By a name's bytes, a customer's by the name: the place of its scope there, and one more.
        self._account_classes: dict[bytes, int] = {}
        self._trader_classes: dict[bytes, int] = {}
        self._algo_classes: dict[bytes, int] = {}
        self._customer_classes: dict[str, int] = {}
        self._named: dict[tuple[int, int, int, int, int, int], Effective] = {}

    def set(self, tree: list[LimitScope], digest_hex: str) -> None:
        """Another tree, normalized, and its digest. Buckets that both have keep what is used."""
        self.tree, self.digest_hex = tree, digest_hex
        self.times_set += 1
        self._scopes = {scope.key: scope for scope in tree}
        self._desks = ["", *sorted({scope.desk for scope in tree} - {""})]
        symbols = {scope.symbol for scope in tree}
        for scope in tree:
            symbols.update(scope.symbols or (), scope.restricted_symbols or ())
        self._symbols = ["", *sorted(symbols - {""})]
        self._desk_classes = {name: at for at, name in enumerate(self._desks) if at}
        self._symbol_classes = {name: at for at, name in enumerate(self._symbols) if at}
        self._table, self._shared = [[] for _ in self._desks], {}
        buckets, self.buckets = self.buckets, {}
        for scope in tree:
            for rate in scope.rates or ():
                key = (*scope.key, rate.kind, rate.window_ms)
                bucket = buckets.get(key) or Bucket(rate.kind, rate.window_ms, int(scope.scope))
                bucket.max = rate.max
                self.buckets[key] = bucket
        self._named.clear()
        self._account_classes, self._trader_classes, self._algo_classes = {}, {}, {}
        self._customer_classes = {}
        named = [(scope.key, scope.name) for scope in tree if scope.name is not None]
        self._names = [key for key, _ in named]
        self.has_named = len(named) > 0
        classes = (self._account_classes, self._trader_classes, self._algo_classes)
        for number, (_, (kind, name)) in enumerate(named, 1):
            if kind == "customer":
                self._customer_classes[name] = number
            else:
                classes[fields.ORDER_NAMES.index(kind)][name.encode()] = number
        copied = [scope for scope in tree if scope.reconcile_s is not UNSET]
        self.has_drop_copy = len(copied) > 0
        windows = [scope.duplicate_window_ms or 0 for scope in tree]
        self.recent.window_ns = max(windows, default=0) * _NS_PER_MS
        if not self.recent.window_ns:
            self.recent.forget()
        self.counts_orders = bool(self.buckets) or self.recent.window_ns > 0
        kinds = [bucket.kind for bucket in self.buckets.values()]
        self.counts_facts = EXECUTIONS in kinds or CANCELS in kinds
        executions = [of.window_ms for of in self.buckets.values() if of.kind == EXECUTIONS]
        self.repeated.window_ns = max(executions, default=0) * _NS_PER_MS
        if not executions:
            self.repeated.forget()
        said = [value for scope in tree for value in own_values(scope)]
        self.bounds_money = max(said, default=UNSAID) != UNSAID
        jumps = [scope for scope in tree if scope.mark_jump_bps not in (UNSET, None)]
        self.guards_marks = len(jumps) > 0
        self.loss_scopes = {}
        for scope in tree:
            if scope.day_loss_max_microcents not in (UNSET, None):
                self.loss_scopes.setdefault(scope.desk, []).append(scope)
        matched = [value_of(scope, _SELF_MATCH) for scope in tree]
        self.watches_own_orders = max(matched, default=UNSAID) > 0

    def scope_of(self, desk: str, symbol: str) -> LimitScope | None:
        """What the tree says of exactly that scope."""
        return self._scopes.get((desk, symbol))

    def desk_class(self, desk: str) -> int:
        """Where a desk's limits are found."""
        return self._desk_classes.get(desk, _ALL)

    def symbol_class(self, symbol: str) -> int:
        """Where a symbol's are."""
        return self._symbol_classes.get(symbol, _ALL)

    def effective(self, desk_class: int, symbol_class: int) -> Effective:
        """What counts for a desk of that class in a symbol of that class."""
        row = self._table[desk_class]
        if not row:
            row.extend([None] * len(self._symbols))
        found = row[symbol_class]
        if found is None:
            found = self._resolve(self._desks[desk_class], self._symbols[symbol_class])
            found = self._shared.setdefault(found.content(), found)
            row[symbol_class] = found
        return found

    def of_order(
        self, desk_class: int, symbol_class: int, request: Request, accounts: Accounts
    ) -> Effective:
        """What counts for an order: of its desk in its symbol, of whom it names, and of its
        account's customer.
        """
        if not self.has_named:
            return self.effective(desk_class, symbol_class)
        if request.account_bytes + request.trader_bytes + request.algo_bytes == 0:
            return self.effective(desk_class, symbol_class)
        return self._of_named(desk_class, symbol_class, request, accounts)

    def _of_named(
        self, desk_class: int, symbol_class: int, request: Request, accounts: Accounts
    ) -> Effective:
        texts = request.texts
        name = le.bytes_at(texts, _ACCOUNT_AT, request.account_bytes)
        account = self._account_classes.get(name, 0)
        trader = self._trader_classes.get(le.bytes_at(texts, _TRADER_AT, request.trader_bytes), 0)
        algo = self._algo_classes.get(le.bytes_at(texts, _ALGO_AT, request.algo_bytes), 0)
        customer = 0
        if len(self._customer_classes) > 0:
            known = accounts.of(request)
            if known is not None:
                customer = self._customer_classes.get(known.customer, 0)
        if account == 0 and trader == 0 and algo == 0 and customer == 0:
            return self.effective(desk_class, symbol_class)
        key = (desk_class, symbol_class, customer, account, trader, algo)
        found = self._named.get(key)
        if found is None:
            if len(self._named) >= NAMED_KEPT_MAX:
                self._named.clear()
            numbers = (customer, account, trader, algo)
            names = [self._names[number - 1] for number in numbers if number]
            found = self._resolve(self._desks[desk_class], self._symbols[symbol_class], names)
            self._named[key] = found
        return found

    def resolved(self, desk: str, symbol: str, names: Sequence[ScopeKey]) -> Effective:
        """What counts for a desk in a symbol, and those names; for who asks seldom."""
        desk_class, symbol_class = self.desk_class(desk), self.symbol_class(symbol)
        if not names:
            return self.effective(desk_class, symbol_class)
        return self._resolve(self._desks[desk_class], self._symbols[symbol_class], names)

    def _resolve(self, desk: str, symbol: str, named: Sequence[ScopeKey] = ()) -> Effective:
        found = Effective()
        names = [("", ""), (desk, ""), ("", symbol), (desk, symbol), *named]
        for name in dict.fromkeys(names):  # each once, the widest first
            scope = self._scopes.get(name)
            if scope is not None:
                for key in KEYS:
                    if not key.is_own:
                        _take(found, key, scope)
                _take_lists(found, scope, symbol)
                for rate in scope.rates or ():
                    found.add_bucket(self.buckets[*name, rate.kind, rate.window_ms])
        return found


def _take(found: Effective, key: LimitKey, scope: LimitScope) -> None:
    """The scope's value of a key, where it says one and that is stricter."""
    said = value_of(scope, key)
    if said == UNSAID:
        return
    known = found.value(key.number)
    both = said if known == UNSAID else min(stricter(key, known, said), NO_LIMIT)
    if both != known:
        found.put(key.number, both, int(scope.scope))


def _take_lists(found: Effective, scope: LimitScope, symbol: str) -> None:
    """The scope's venues, and whether it lets the symbol be traded."""
    number = int(scope.scope)
    if scope.venues is not UNSET:
        venues = frozenset(scope.venues)
        if found.venues is not None:
            venues &= found.venues
        found.allow(venues, number)
    if scope.drop_copy_venues is not UNSET:
        found.drop_copy_venues = (found.drop_copy_venues or frozenset()) | frozenset(
            scope.drop_copy_venues
        )
    if found.symbol_refusal:
        return
    if symbol in (scope.restricted_symbols or ()):
        found.symbol_refusal, found.symbol_scope = int(Refusal.SYMBOL_RESTRICTED), number
    elif scope.symbols is not UNSET and symbol not in scope.symbols:
        found.symbol_refusal, found.symbol_scope = int(Refusal.SYMBOL_NOT_ALLOWED), number


def explained(
    limits: Limits, desk: str, symbol: str, names: Sequence[ScopeKey] = ()
) -> list[tuple[str, int, Scope]]:
    """Of a desk in a symbol, and of those names, each key that any scope says: name, value and
    whose it is.
    """
    found = limits.resolved(desk, symbol, names)
    lines = [
        (key.name, found.value(key.number), Scope(found.scope(key.number)))
        for key in KEYS
        if found.value(key.number) != UNSAID
    ]
    for name in dict.fromkeys((("", ""), (desk, ""), ("", symbol), (desk, symbol))):
        scope = limits.scope_of(*name)
        if scope is not None:
            values = zip(OWN_KEYS, own_values(scope), strict=True)
            lines += [(key.name, value, scope.scope) for key, value in values if value != UNSAID]
    return lines
