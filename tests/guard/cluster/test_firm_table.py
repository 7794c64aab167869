"""The firm's table in a real PostgreSQL beside its rules: the same answers, the same rows."""

import asyncio
import importlib
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import guard
from guard.cluster.firm_table import ANSWER, SET_TOTAL, answer_of, arguments_of
from guard.cluster.slices import Answer, Ask, GiveBack, Granted, Message, Refused, Table, TakenBack
from postgres_support import Postgres, needs_postgres, running_postgres

DATA = Path(guard.__file__).parent / "data"
SETTINGS = ("on", [""])
HOLDERS, RESOURCES = ("a", "b", "c"), ("budget/x", "limit/y")

pytestmark = [needs_postgres, pytest.mark.slow]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> str:
    url = postgres.new_database()
    for name in ("cluster.sql", "slices.sql"):
        postgres.script(url, (DATA / name).read_text())
    return url


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await importlib.import_module("asyncpg").connect(url, timeout=60)
    try:
        yield connection
    finally:
        await connection.close()


async def ask(connection: Any, message: Message, settings: tuple[Any, ...] = SETTINGS) -> Any:
    row = await connection.fetchrow(ANSWER, *arguments_of(message), *settings)
    return answer_of(message, row)


async def open_epoch(connection: Any, log: str, epoch: int) -> None:
    await connection.execute(
        "INSERT INTO pretrade_guard.logs (log, epoch) VALUES ($1, $2) "
        "ON CONFLICT (log) DO UPDATE SET epoch = $2",
        *(log, epoch),
    )


def comparable(answer: Answer) -> tuple[Any, ...]:
    """All but the words of a refusal."""
    if isinstance(answer, Refused):
        return (answer.asked, answer.code)
    if isinstance(answer, Granted):
        return (answer.asked, answer.amount, answer.wanted_back)
    return (answer.asked, answer.wanted_back)


def some_message(rng: random.Random, table: Table, epochs: dict[str, int]) -> Message:
    """Mostly what a holder says next; at times late, of an older epoch, or nonsense."""
    holder = rng.choice((*HOLDERS, "nobody") if rng.random() < 0.03 else HOLDERS)
    resource = rng.choice((*RESOURCES, "none") if rng.random() < 0.03 else RESOURCES)
    row = table.rows.get((holder, resource))
    is_ask = rng.random() < 0.55
    last = 0 if row is None else row.granted_number if is_ask else row.returned_number
    number = max(0, last + rng.choice((1, 1, 1, 1, 0, 0, -1, 2)))
    given = 0 if row is None else row.given
    amount = rng.choice((0, rng.randint(1, 40))) if is_ask else rng.randint(0, given + 1)
    if not is_ask and row is not None and number == last and rng.random() < 0.8:
        amount = row.return_amount
    epoch = epochs.get(holder, 1) - (rng.random() < 0.05)
    return (Ask if is_ask else GiveBack)(holder, epoch, resource, number, amount, 1)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_answers_and_the_same_rows(database: str, seed: int) -> None:
    async def run(connection: Any) -> dict[str, int]:
        rng, table, epochs = random.Random(seed), Table(), dict.fromkeys(HOLDERS, 1)
        counts: dict[str, int] = {}
        for holder in HOLDERS:
            table.open_epoch(holder, 1)
            await open_epoch(connection, holder, 1)
        for step in range(900):
            if step % 90 == 0:
                for resource in RESOURCES:
                    total = rng.randint(0, 150)
                    table.set_total(resource, total)
                    await connection.execute(SET_TOTAL, resource, total)
            if rng.random() < 0.02:
                holder = rng.choice(HOLDERS)
                epochs[holder] += 1
                table.open_epoch(holder, epochs[holder])
                await open_epoch(connection, holder, epochs[holder])
            message = some_message(rng, table, epochs)
            wanted, found = table.answer(message), await ask(connection, message)
            assert comparable(found) == comparable(wanted), (step, message)
            kind = wanted.code if isinstance(wanted, Refused) else type(wanted).__name__
            counts[kind] = counts.get(kind, 0) + 1
            if step % 25 == 0:
                await compare_rows(connection, table)
        await compare_rows(connection, table)
        return counts

    async def connect_and_run() -> dict[str, int]:
        async with connected(database) as connection:
            return await run(connection)

    counts = asyncio.run(connect_and_run())
    assert set(counts) == {
        *("Granted", "TakenBack", "fenced", "table_behind", "holder_behind", "conflict"),
        *("unknown_holder", "unknown_resource"),
    }
    assert counts["Granted"] > 200
    assert counts["TakenBack"] > 100


async def compare_rows(connection: Any, table: Table) -> None:
    rows = await connection.fetch("SELECT * FROM pretrade_guard.firm_slices")
    found = {
        (row["log"], row["resource"]): [
            int(row[name])
            for name in (
                *("granted_number", "granted", "grant_amount"),
                *("returned_number", "returned", "return_amount"),
            )
        ]
        for row in rows
    }
    assert found == {
        key: [
            *(row.granted_number, row.granted, row.grant_amount),
            *(row.returned_number, row.returned, row.return_amount),
        ]
        for key, row in table.rows.items()
    }
    wholes = await connection.fetch("SELECT * FROM pretrade_guard.firm_resources")
    assert {row["resource"]: tuple(row)[1:] for row in wholes} == {
        name: (whole.total, whole.free, whole.target, whole.is_short)
        for name, whole in table.resources.items()
    }


def test_holders_who_ask_at_once_never_get_more_than_there_is(
    database: str, postgres: Postgres
) -> None:
    async def holder(connection: Any, name: str) -> None:
        rng, granted, returned, has = random.Random(name), 0, 0, 0
        await open_epoch(connection, name, 1)
        for _ in range(60):
            answer = await ask(
                connection, Ask(name, 1, "budget/x", granted + 1, rng.randint(1, 30), 1)
            )
            assert isinstance(answer, Granted)
            if answer.amount:
                granted, has = granted + 1, has + answer.amount
            if has and rng.random() < 0.5:
                amount = rng.randint(1, has)
                told = GiveBack(name, 1, "budget/x", returned + 1, amount, 1)
                assert isinstance(await ask(connection, told), TakenBack)
                assert isinstance(await ask(connection, told), TakenBack)  # told again
                returned, has = returned + 1, has - amount

    async def run() -> None:
        async with AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(connected(database)) for _ in range(8)]
            await asyncio.gather(
                *(holder(each, f"log-{number}") for number, each in enumerate(connections))
            )

    postgres.ask(database, SET_TOTAL, "budget/x", 200)
    asyncio.run(run())
    ((free, total, given),) = postgres.ask(
        database,
        "SELECT free, total, (SELECT sum(granted - returned)::bigint FROM "
        "pretrade_guard.firm_slices) FROM pretrade_guard.firm_resources",
    )
    assert total == 200
    assert free + given == total
    ((moved,),) = postgres.ask(
        database,
        "SELECT sum(CASE direction WHEN 'grant' THEN amount ELSE -amount END)::bigint "
        "FROM pretrade_guard.firm_moves",
    )
    assert moved == given


def test_a_guards_role_may_ask_and_nothing_else(database: str, postgres: Postgres) -> None:
    postgres.ask(database, SET_TOTAL, "budget/x", 100)
    postgres.ask(database, "INSERT INTO pretrade_guard.logs (log, epoch) VALUES ('a', 1)")

    async def run() -> None:
        async with connected(database.replace("postgres@", "pretrade_guard@")) as connection:
            asked = Ask("a", 1, "budget/x", 1, 30, 1)
            assert await ask(connection, asked, ("on", ["ANY 1 (b, c)"])) is None
            assert await ask(connection, asked) == Granted(asked, 30, 0)
            for statement in (
                "UPDATE pretrade_guard.firm_resources SET free = 1",
                "UPDATE pretrade_guard.firm_slices SET granted = 1",
                "DELETE FROM pretrade_guard.firm_moves",
                "SELECT pretrade_guard.firm_set_total('budget/x', 1)",
            ):
                with pytest.raises(Exception, match="permission denied"):
                    await connection.execute(statement)

    asyncio.run(run())
