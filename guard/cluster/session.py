"""One session with PostgreSQL, through asyncpg: statements, and what is known of them.

Owns how a statement ends: with its row, with none (it took no effect), or unknown. Must not: try
anything twice, or ever have the server cancel something. A commit that waits for the quorum and is
cancelled returns as if all were well, with a warning; a client library's time-out sends such a
cancel. So no call has a time-out, no task that waits for one may be cancelled, and who has waited
for too long closes the connection, which leaves it unknown.

How it works: all notices from the server are listened for, at the level of warnings; one that comes
while a statement is under way makes its outcome unknown, whatever else was said. asyncpg calls
listeners before whoever waits for the statement, since it hears the notice first
(`tests/guard/cluster/test_session.py` cancels real commits). Behind a commit the settings are asked
for once more: a list of standbys that is emptied lets waiting commits go without a word, and the
session hears of the list between two statements.

How it fails: `Unreachable` where no session can be had, `Unknown` for everything else.
"""

import asyncio
import importlib
import ssl
from collections.abc import Sequence
from typing import Any, Final

from guard.cluster import statements
from guard.cluster.errors import ClusterError, Unknown, Unreachable
from guard.config.cluster_files import tls_context
from guard.config.cluster_section import ClusterSection, Host, host_of
from guard.config.errors import ConfigError

# To connect and greet: nothing is under way then.
CONNECT_S: Final = 3.0
# Behind the first host that takes writes: so long others are waited for.
GRACE_S: Final = 0.1
_NOTHING_ENDS_IT: Final = {
    "client_min_messages": "warning",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_isolation": "read committed",
}


class Session:
    """A session. All calls belong to the loop's thread, one statement at a time."""

    def __init__(
        self, connection: Any, terms: ClusterSection, errors: tuple[type[Exception], ...]
    ) -> None:
        """Not to be called: see `open_session`."""
        self._connection = connection
        self._unknown_after_s = terms.unknown_after_ms / 1_000
        self._settings = (terms.synchronous_commit, list(terms.standby_names))
        self._errors = errors
        self._notice = ""
        self._is_ended = False
        connection.add_log_listener(self._on_notice)

    async def rows(self, statement: str, *arguments: object) -> Sequence[Any]:
        """What a statement returns. Raises Unknown."""
        loop = asyncio.get_running_loop()
        bound = loop.call_later(self._unknown_after_s, self.terminate)
        try:
            found: Sequence[Any] = await self._connection.fetch(statement, *arguments)
        except self._errors as error:
            self.terminate()
            raise Unknown(str(error) or type(error).__name__) from error
        finally:
            bound.cancel()
        if self._notice:
            self.terminate()
            raise Unknown(f"the server warned: {self._notice}")
        return found

    async def row(self, statement: str, *arguments: object) -> Any:
        """Its first row, or None. Raises Unknown."""
        found = await self.rows(statement, *arguments)
        return found[0] if found else None

    async def commit(self, statement: str, *arguments: object) -> Any:
        """As `row`, of a statement whose last arguments are the settings, which are added here.

        A row: it is on the quorum. None: it took no effect. Raises Unknown.
        """
        took = await self.row(statement, *arguments, *self._settings)
        if took is not None and not (await self.row(statements.SETTINGS_HOLD, *self._settings))[0]:
            self.terminate()
            raise Unknown("the settings of synchronous replication changed under the commit")
        return took

    async def settings_problem(self) -> str | None:
        """What of the settings is not as the configuration demands. Raises Unknown."""
        commit, names = await self.row(statements.SHOW_SETTINGS)
        wanted_commit, wanted_names = self._settings
        if commit != wanted_commit:
            return f"synchronous_commit is {commit!r} in the session; must be {wanted_commit!r}"
        if names not in wanted_names:
            allowed = ", ".join(map(repr, wanted_names))
            return f"synchronous_standby_names is {names!r}; cluster.standby_names allows {allowed}"
        return None

    def terminate(self) -> None:
        """Closes the connection, and sends nothing more; a second call does nothing."""
        if not self._is_ended:
            self._is_ended = True
            self._connection.terminate()

    def _on_notice(self, _connection: object, message: object) -> None:
        self._notice = self._notice or str(message) or "a notice without words"


async def open_session(terms: ClusterSection, name: str) -> Session:
    """A session with the node that takes writes. Raises Unreachable, ClusterError.

    All hosts are tried at once, since one that is cut off may not even refuse. For a while two may
    take writes, of which the old one commits nothing any more: the one with the later timeline of
    PostgreSQL's log is taken.
    """
    library = _library()
    errors = (
        library.PostgresError,
        library.InterfaceError,
        library.InternalClientError,
        OSError,
        EOFError,
    )
    hosts = [host for text in terms.hosts if isinstance(host := host_of(text), Host)]
    settings = {
        **_NOTHING_ENDS_IT,
        "application_name": name,
        "synchronous_commit": terms.synchronous_commit,
    }
    tries = [
        asyncio.ensure_future(_connect(library, terms, host, settings, errors)) for host in hosts
    ]
    found: list[tuple[str, Any]] = []
    try:
        waiting: set[asyncio.Future[tuple[str, Any]]] = set(tries)
        while waiting:
            done, waiting = await asyncio.wait(
                waiting,
                timeout=GRACE_S if found else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            found += [each.result() for each in done if each.exception() is None]
            if found and not done:
                break
    finally:
        # Of connections that are being made nothing is under way.
        for each in tries:
            each.cancel()
        ended = await asyncio.gather(*tries, return_exceptions=True)
        best = max(found, key=lambda each: each[0])[1] if found else None
        for result in ended:
            if isinstance(result, tuple) and result[1] is not best:
                result[1].terminate()
    if best is None:
        said = "; ".join(
            f"{host.name}: {str(result) or type(result).__name__}"
            for host, result in zip(hosts, ended, strict=True)
        )
        raise Unreachable(f"no session with the cluster: {said}")
    return Session(best, terms, errors)


async def _connect(
    library: Any,
    terms: ClusterSection,
    host: Host,
    settings: dict[str, str],
    errors: tuple[type[Exception], ...],
) -> tuple[str, Any]:
    """A connection with one host, and its timeline before it. Raises Unreachable, ClusterError."""
    failures: tuple[type[Exception], ...] = (*errors, TimeoutError, ValueError)
    try:
        connection = await library.connect(
            host=host.name,
            port=host.port,
            user=terms.user,
            database=terms.database,
            passfile=terms.password_file,
            ssl=_tls_of(terms),
            timeout=CONNECT_S,
            command_timeout=None,
            max_cached_statement_lifetime=0,
            server_settings=settings,
            target_session_attrs="read-write",
        )
    except failures as error:
        raise Unreachable(str(error) or type(error).__name__) from error
    try:
        return await connection.fetchval(statements.TIMELINE), connection
    except failures as error:
        connection.terminate()
        raise Unreachable(str(error) or type(error).__name__) from error


def _library() -> Any:
    """asyncpg, which has no types that a checker could read."""
    try:
        return importlib.import_module("asyncpg")
    except ImportError as error:
        raise ClusterError(
            "[cluster] needs asyncpg: pip install 'pretrade-guard[cluster]'"
        ) from error


def _tls_of(terms: ClusterSection) -> ssl.SSLContext | None:
    try:
        return tls_context(terms)
    except ConfigError as error:
        raise ClusterError(str(error)) from error
