"""What a table of a report is: its columns and rows of text. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
Row = tuple[str, ...]


@dataclass(slots=True)
class Table:
    """A table: `columns` whose name begins with `#` hold figures, and stand to the right.

    `slug` names it in a page that has it once.
    """

    slug: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[Row] = ()
    note: str = ""

    @property
    def headings(self) -> list[tuple[str, bool]]:
        """Each column's name, and whether it holds figures."""
        return [(name.removeprefix("#"), name.startswith("#")) for name in self.columns]
