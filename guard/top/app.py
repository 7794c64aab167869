"""The terminal application: shows the picture once a second, halts and resumes a desk by a key.

Owns the screen and the keys. What is shown is `guard.top.show`'s; what is done goes to the admin
endpoint, where it is recorded with who and why, and nothing is done that was not confirmed by a
reason. A daemon that is gone or silent is said, and waited for.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Static

from guard.admin.messages import (
    WHY_LENGTH_MAX,
    AdminError,
    Halt,
    Resume,
    decode_request,
    encode_request,
)
from guard.client.admin import AdminRefusedError, AdminTimeoutError
from guard.observe.asking import Asker
from guard.observe.picture import Picture
from guard.observe.watch import Source, Watch
from guard.top import show

REFRESH_S: Final = 1.0
_KINDS: Final[dict[str, Any]] = {"halt": Halt, "resume": Resume}


class Reason(ModalScreen[str]):
    """Asks why, which is the confirmation; "" where it is not to be done."""

    CSS = """
    Reason { align: center middle; }
    Reason Vertical { width: 70; height: auto; border: round $accent; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "not to do it")]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(f"{self._question}\nWhy? It is recorded. Enter does it, Esc does not.")
            yield Input(max_length=WHY_LENGTH_MAX, id="why")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if why := event.value.strip():
            self.dismiss(why)

    def action_leave(self) -> None:
        self.dismiss("")


class Top(App[None]):
    """One daemon on one screen."""

    CSS = """
    #title { text-style: bold; height: 1; }
    #figures { height: auto; max-height: 3; }
    #alarms { height: auto; max-height: 6; color: $error; }
    #desks { height: 1fr; min-height: 5; scrollbar-size-vertical: 1; overflow-x: hidden; }
    #title, #figures, #rejects, #said { text-wrap: nowrap; text-overflow: ellipsis; }
    #filter { display: none; }
    #rejects { height: 5; color: $text-muted; }
    #said { height: 1; color: $warning; }
    """
    TITLE = "pretrade-guard top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h", "act('halt')", "halt the desk"),
        Binding("r", "act('resume')", "resume it"),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("escape", "all", "all desks"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(
        self, asker: Asker, source: Source, wall_ns: Callable[[], int], endpoint: str
    ) -> None:
        super().__init__()
        self.picture = Picture(wall_ns())
        self._asker = asker
        self._wall_ns = wall_ns
        self._endpoint = endpoint
        self._watch = Watch(self.picture, asker, source, wall_ns)
        self._filter_text = ""
        self._shown: list[tuple[str, ...]] = []
        self._watching: asyncio.Task[None] | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="title")
        yield Static(id="figures")
        yield Static(id="alarms")
        yield DataTable(id="desks", cursor_type="row", cell_padding=0, zebra_stripes=True)
        yield Input(placeholder="a part of desks' names", id="filter")
        yield Static(id="rejects")
        yield Static(id="said")
        yield Footer()

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        for name, width in show.DESK_COLUMNS:
            table.add_column(name, width=width)
        table.focus()
        self._watching = asyncio.get_running_loop().create_task(self._watch.run())
        self.set_interval(REFRESH_S, self.refresh_picture)
        self.refresh_picture()

    async def on_unmount(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    def refresh_picture(self) -> None:
        """Shows what is known now."""
        if isinstance(self.screen, Reason):
            return  # what somebody is about to confirm stands still
        now_ns = self._wall_ns()
        now = self.picture.now(now_ns)
        self._put("title", [show.title(now, self._endpoint)])
        seconds = self.picture.seconds(now_ns, show.RATE_SECONDS)
        self._put("figures", show.figures(now, seconds))
        self._put("alarms", show.alarms(now))
        self._put("rejects", show.rejects(now) or ["no order was refused"])
        self._put_desks(show.desk_rows(self.picture.desks(), self._filter_text))

    def _put(self, name: str, lines: list[str]) -> None:
        text = Text("\n".join(lines))
        self.query_one(f"#{name}", Static).update(text)

    def _put_desks(self, rows: list[tuple[str, ...]]) -> None:
        if rows == self._shown:
            return
        table, chosen = self.query_one(DataTable), self.chosen_desk()
        table.clear()
        for row in rows[: show.DESKS_SHOWN_MAX]:
            style = "bold red" if row[1] == "halted" else ""
            table.add_row(*(Text(cell, style=style) for cell in row))
        self._shown = rows
        names = [row[0] for row in rows]
        if chosen in names:
            table.move_cursor(row=names.index(chosen))
        if len(rows) > show.DESKS_SHOWN_MAX:
            self._say(f"{len(rows) - show.DESKS_SHOWN_MAX} more desks: / finds one")

    def chosen_desk(self) -> str | None:
        """The desk under the cursor."""
        at = self.query_one(DataTable).cursor_row
        return self._shown[at][0] if 0 <= at < len(self._shown) else None

    def _say(self, text: str) -> None:
        self._put("said", [text])

    # -- keys ------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.styles.display = "block"
        box.focus()

    def action_all(self) -> None:
        self.query_one("#filter", Input).value = ""
        self._end_filter()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "filter":
            self._filter_text = event.value
            self.refresh_picture()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "filter":
            self._end_filter()

    def _end_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.styles.display = "block" if box.value else "none"
        self.query_one(DataTable).focus()

    def action_act(self, word: str) -> None:
        desk = self.chosen_desk()
        if desk is None:
            self._say("no desk is chosen")
            return

        def answered(why: str | None) -> None:
            if why:
                self.run_worker(self._act(word, desk, why), exclusive=False)
            else:
                self._say("nothing was done")

        self.push_screen(Reason(f"{word} desk {desk}?"), answered)

    async def _act(self, word: str, desk: str, why: str) -> None:
        action_id = f"top-{secrets.token_hex(8)}"
        asked = _KINDS[word](action_id=action_id, why=why, scope="desk", name=desk)
        try:
            done = await self._asker.ask(decode_request(encode_request(asked)))
            self._say(f"{'; '.join(done.changes)} (record {done.wal_sequence})")
        except (AdminRefusedError, AdminError) as error:
            self._say(f"refused: {error}")
        except (AdminTimeoutError, OSError, msgspec.MsgspecError) as error:
            self._say(f"whether {desk} is to {word} is not known: {error}; look at its state")
        await self._watch.look_at_desks()
        self.refresh_picture()
