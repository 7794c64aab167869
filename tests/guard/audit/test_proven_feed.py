"""One desk's records and their proofs: forged, withheld, put in; after restarts and rotations."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from feed_support import DESKS, KEY, PATIENCE_MS, FeedLog, feed_log, of_desk
from guard.audit.check import check_proof
from guard.audit.desk_pages import RECORDS_MAX, DeskPage, PageChecker, PageError, PageMaker
from guard.audit.notes import SigningKey, generate_signing_key
from guard.audit.page_files import write_page
from guard.audit.proven_feed import ProvenFeedClient
from guard.cli import main
from guard.client.feed_session import FeedBrokenError, FeedRefusedError
from guard.config.clients import DROP_COPY, ClientTerms
from guard.feed.messages import FeedError
from guard.server.feed_door import check_subscription
from guard.server.permits import NOBODY, Permit

ALPHA, BETA = DESKS
ORIGIN = "guard.example/desks"
PATIENCE_S = PATIENCE_MS / 1_000
SIGNING = generate_signing_key(ORIGIN)


def lines_of(count: int) -> list[bytes]:
    """Lines as a log has them: alpha, beta, neither, alpha, …"""
    data = [of_desk(ALPHA), of_desk(BETA), b'{"event":"y"}']
    line = b'{"sequence":%d,"data":%b}\n'
    return [line % (number, data[number % 3]) for number in range(1, count + 1)]


def pages_of(
    lines: list[bytes], cuts: set[int], key: SigningKey = SIGNING, after: int = 0
) -> list[DeskPage]:
    """Alpha's pages, a signed head behind each of these records."""
    maker, pages = PageMaker({ALPHA: after}, key, ORIGIN), list[DeskPage]()
    for number, line in enumerate(lines, 1):
        maker.add(line)
        if number in cuts:
            pages += maker.take()
    return pages


def checker_of(lines: list[bytes], after: int = 0) -> PageChecker:
    checker = PageChecker(ALPHA, SIGNING.verifier_key, ORIGIN, after)
    for number, line in enumerate(lines, 1):
        if number > after and ALPHA.encode() in line:
            checker.add(number, line)
    return checker


@pytest.mark.parametrize("after", [0, 1, 7, 29])
def test_every_record_is_proven_wherever_a_subscriber_and_a_maker_began(after: int) -> None:
    lines = lines_of(40)
    first = pages_of(lines[:20], {5, 20})
    # A maker that begins again goes on behind the last page.
    rest = pages_of(lines, {33, 40}, after=first[-1].through_sequence)
    checker = checker_of(lines, after)
    for page in [*first, *rest]:
        if page.through_sequence > checker.proven_sequence:
            assert checker.check(page.encoded()) == page.through_sequence
    assert checker.proven_sequence == 40
    checked = check_proof(first[-1].checkpoint.encode(), SIGNING.verifier_key, ORIGIN)
    assert checked.checkpoint.size == 20  # its head is one as any other


def test_what_is_forged_withheld_or_put_in_is_seen() -> None:
    lines = lines_of(12)
    [page] = pages_of(lines, {12})
    found: dict[str, Any] = {}

    def tried(name: str, checker: PageChecker, data: bytes) -> None:
        with pytest.raises(PageError) as caught:
            checker.check(data)
        found[name] = str(caught.value)

    forged = [line.replace(b'"text":""', b'"text":"!"') if n == 2 else line
              for n, line in enumerate(lines)]  # fmt: skip
    tried("forged", checker_of(forged), page.encoded())
    withheld = [b"\n" if n == 5 else line for n, line in enumerate(lines)]
    tried("withheld", checker_of(withheld), page.encoded())
    more = checker_of(lines)
    more.add(7, b'{"more":1}\n')
    tried("more", more, page.encoded())
    other = generate_signing_key(ORIGIN)
    tried("other key", checker_of(lines), pages_of(lines, {12}, other)[0].encoded())
    plain = msgspec.json.decode(page.encoded())
    fewer = plain | {"records": plain["records"][1:]}
    tried("fewer named", checker_of(withheld), msgspec.json.encode(fewer))
    hashes = [record | {"hashes": record["hashes"][::-1]} for record in plain["records"]]
    tried("hashes", checker_of(lines), msgspec.json.encode(plain | {"records": hashes}))
    tried("head", checker_of(lines), msgspec.json.encode(plain | {"through_sequence": 13}))
    tried("other desk", checker_of(lines), msgspec.json.encode(plain | {"desk": BETA}))
    tried("gap", checker_of(lines), pages_of(lines, {12}, after=5)[0].encoded())
    tried("no page", checker_of(lines), b"{}")
    assert {name: text[:50] for name, text in found.items()} == {
        "forged": "record 3: it is not proven: the proof does not lea",
        "withheld": "record 6: it was signed as one of the desk's, and ",
        "more": "record 7: it came, and is none of the records that",
        "other key": "the signed head: no trusted key has signed the not",
        "fewer named": "its records are not those that were signed",
        "hashes": "record 3: it is not proven: the proof does not lea",
        "head": "the signed head is of 12 records, the page says 13",
        "other desk": "the page is of desk 'desk-beta', not of 'desk-alph",
        "gap": "the page is of the records 6 to 12, and proven are",
        "no page": "no page of proofs: Object missing required field `",
    }


def prove(log: FeedLog, root: Path, pages: Path, key: SigningKey = SIGNING) -> int:
    """The command, as it is run beside a log, for all of what is durable; its exit code."""
    files = {"log.key": KEY, "signing.key": key.secret_text().encode()}
    for name, data in files.items():
        (root / name).write_bytes(data)
        (root / name).chmod(0o600)
    keys = ["--key-file", str(root / "log.key"), "--signing-key", str(root / "signing.key")]
    where = ["--desk", ALPHA, "--out", str(pages), "--once"]
    return main(["prove-desks", str(log.directory), *keys, *where])


def proven_through(feed: ProvenFeedClient, sequence: int) -> int:
    """Reads until that record is proven; how many records came."""
    count = 0
    while (feed.proven_sequence or 0) < sequence:
        count += len(feed.next_batch(PATIENCE_S).records)
    return count


def client(log: FeedLog, **options: Any) -> ProvenFeedClient:
    key = str(SIGNING.verifier_key)
    asked = {"after_sequence": 0, "verifier_key": key, "desk": ALPHA}
    return ProvenFeedClient(log.endpoint, **asked | options)


async def test_a_desk_follows_the_log_and_proves_it_page_by_page(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    count = RECORDS_MAX + 20  # two pages, the first of them full
    async with feed_log(tmp_path, proofs=pages) as log:
        log.write(*[of_desk(ALPHA), of_desk(BETA)] * count)
        assert prove(log, tmp_path, pages) == 0
        with client(log) as feed:
            last = 2 * count  # the last of alpha; behind the opening record
            assert await asyncio.to_thread(proven_through, feed, last) == count
            log.writer.rotate()
            log.write(of_desk(BETA), of_desk(ALPHA))
            assert prove(log, tmp_path, pages) == 0
            through = last + 3
            assert await asyncio.to_thread(proven_through, feed, through) == 1
        # Who begins again goes on behind the record that was proven last.
        log.write(of_desk(ALPHA))
        assert prove(log, tmp_path, pages) == 0
        with client(log, after_sequence=through) as feed:
            assert await asyncio.to_thread(proven_through, feed, through + 1) == 1


async def test_a_page_of_another_signer_ends_the_client(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    async with feed_log(tmp_path, proofs=pages) as log:
        log.write(of_desk(ALPHA))
        assert prove(log, tmp_path, pages, generate_signing_key(ORIGIN)) == 0
        with client(log) as feed, pytest.raises(FeedBrokenError, match="no trusted key"):
            await asyncio.to_thread(proven_through, feed, 2)


def test_proofs_are_given_to_who_may_see_the_desk() -> None:
    granted = frozenset((ALPHA,)), frozenset((DROP_COPY,))
    permit = Permit(ClientTerms("c", "c", None, 7, *granted))
    check_subscription(permit, [ALPHA], "desk")
    with pytest.raises(FeedError, match=f"desk: '{BETA}' is not granted") as caught:
        check_subscription(permit, [BETA], "desk")
    assert (caught.value.code, caught.value.field) == ("not_permitted", "desk")
    with pytest.raises(FeedError, match="subscribe is not granted"):
        check_subscription(NOBODY, [ALPHA], "desk")


async def test_without_pages_it_is_said_so(tmp_path: Path) -> None:
    async with feed_log(tmp_path) as log:
        log.write(of_desk(ALPHA))
        with client(log) as feed, pytest.raises(FeedRefusedError, match="where endpoints"):
            await asyncio.to_thread(proven_through, feed, 2)


def test_a_log_that_is_not_the_one_that_was_signed_is_refused(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    [page] = pages_of(lines_of(12), {12})

    async def proves() -> None:
        async with feed_log(tmp_path) as log:
            log.write(*[of_desk(ALPHA)] * 20)
            write_page(pages, page)
            assert prove(log, tmp_path, pages) == 1

    asyncio.run(proves())
    assert [path.name for path in pages.glob("*/*")] == [f"{0:020d}-{12:020d}.json"]
