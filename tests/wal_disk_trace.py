"""What a power cut may leave of a directory: the calls of the code under test, noted, and every
state of the disk before, between and after them.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from wal_support import SECTOR

Tree = dict[str, bytes | None]  # relative path -> content, None for a directory


class CrashState(NamedTuple):
    """What may be on the disk after a power cut: `mark` is the last mark that was set before it."""

    label: str
    mark: int
    tree: Tree

    def put(self, directory: Path) -> Path:
        """The tree as real files in the new directory `directory`."""
        directory.mkdir()
        for name in sorted(self.tree):
            content = self.tree[name]
            if content is None:
                (directory / name).mkdir(exist_ok=True)
            else:
                (directory / name).write_bytes(content)
        return directory


class DiskTrace:
    """Records what the code under test asks of the disk, and tells what a power cut may leave.

    Within `with`, every call that changes something under `root` is done and noted. The disk it
    stands for keeps of a file what was there at its last sync and any part of what came after, and
    of a directory any beginning of the changes since its last sync, or all of them but one,
    whatever was synced elsewhere.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.root = str(root)
        self.patch = monkeypatch
        self.files: list[bytes] = []  # content at the beginning, by number of the file
        self.names: dict[str, int | None] = {}  # as the process sees them; None: a directory
        self.sizes: list[int] = []
        self.operations: list[tuple[Any, ...]] = []
        self.descriptors: dict[int, int | str] = {}
        for place, _, names in os.walk(self.root):
            if place != self.root:
                self.names[self._relative(place)] = None
            for name in names:
                path = os.path.join(place, name)
                self.names[self._relative(path)] = self._new_file(Path(path).read_bytes())
        self.first_names = dict(self.names)

    def mark(self, value: int) -> None:
        """Note that somebody was told so much by now."""
        self.operations.append(("mark", value))

    def lose(self) -> None:
        """Everything not synced by now never reaches the disk, though later syncs succeed."""
        self.operations.append(("lose",))

    def __enter__(self) -> Self:
        self.context = self.patch.context()
        patch = self.context.__enter__()
        for name in (
            "open", "write", "pwrite", "fsync", "fdatasync", "ftruncate", "rename", "replace",
            "link", "unlink", "mkdir",
        ):  # fmt: skip
            patch.setattr(os, name, self._noting(getattr(os, name), getattr(self, f"_{name}")))
        return self

    def __exit__(self, *error: object) -> None:
        self.context.__exit__(None, None, None)

    def states(self) -> Iterator[CrashState]:
        """Every distinct state after a power cut before, between and after the calls."""
        seen: set[tuple[Any, ...]] = set()
        for count in range(len(self.operations) + 1):
            history = _History(self.files, self.first_names, self.operations[:count])
            for label, tree in history.trees():
                identity = (history.mark, *sorted(tree.items(), key=lambda item: item[0]))
                if identity not in seen:
                    seen.add(identity)
                    yield CrashState(f"after {count} calls, {label}", history.mark, tree)

    def _relative(self, path: Any) -> str:
        return os.path.relpath(str(path), self.root)

    def _is_ours(self, path: object) -> bool:
        return str(path).startswith(self.root + "/") and os.path.basename(str(path)) != "lock"

    def _new_file(self, content: bytes) -> int:
        self.files.append(content)
        self.sizes.append(len(content))
        return len(self.files) - 1

    def _noting(self, real: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            result = real(*arguments, **options)
            note(result, *arguments)
            return result

        return call

    def _open(self, result: int, path: Any, flags: int, *_: Any) -> None:
        self.descriptors.pop(result, None)
        if str(path) == self.root or os.path.isdir(path):
            self.descriptors[result] = self._relative(path)
        elif self._is_ours(path):
            name = self._relative(path)
            if name not in self.names:
                self.names[name] = self._new_file(b"")
                self.operations.append(("name", name, self.names[name]))
            number = self.names[name]
            assert number is not None
            self.descriptors[result] = number
            if flags & os.O_TRUNC:
                self._ftruncate(None, result, 0)

    def _write(self, result: int, descriptor: int, data: Any) -> None:
        number = self.descriptors.get(descriptor)
        if isinstance(number, int):
            self.operations.append(("write", number, self.sizes[number], bytes(data[:result])))
            self.sizes[number] += result

    def _pwrite(self, result: int, descriptor: int, data: Any, offset: int) -> None:
        number = self.descriptors.get(descriptor)
        if isinstance(number, int):
            if offset == self.sizes[number]:
                self._write(result, descriptor, data)
                return
            assert offset + result <= self.sizes[number], "a gap, or partly behind the end"
            self.operations.append(("overwrite", number, offset, bytes(data[:result])))

    def _fsync(self, _: None, descriptor: int) -> None:
        target = self.descriptors.get(descriptor)
        if target is not None:
            self.operations.append(("sync", target))

    _fdatasync = _fsync

    def _ftruncate(self, _: None, descriptor: int, size: int) -> None:
        number = self.descriptors.get(descriptor)
        if isinstance(number, int):
            self.operations.append(("truncate", number, size))
            self.sizes[number] = size

    def _rename(self, _: None, old: Any, new: Any, *__: Any) -> None:
        if self._is_ours(old):
            number = self.names.pop(self._relative(old))
            self.names[self._relative(new)] = number
            self.operations.append(("rename", self._relative(old), self._relative(new)))

    _replace = _rename

    def _link(self, _: None, old: Any, new: Any, *__: Any) -> None:
        number = self.names[self._relative(old)]
        self.names[self._relative(new)] = number
        self.operations.append(("name", self._relative(new), number))

    def _unlink(self, _: None, path: Any, *__: Any) -> None:
        if self._is_ours(path):
            del self.names[self._relative(path)]
            self.operations.append(("unlink", self._relative(path)))

    def _mkdir(self, _: None, path: Any, *__: Any) -> None:
        if self._is_ours(path):
            self.names[self._relative(path)] = None
            self.operations.append(("name", self._relative(path), None))


class _History:
    """The disk after some calls: what is certain, and what is still in doubt."""

    def __init__(
        self, files: list[bytes], names: dict[str, int | None], operations: list[tuple[Any, ...]]
    ) -> None:
        self.durable = dict(enumerate(files))
        self.pending: dict[int, list[tuple[Any, ...]]] = {}
        self.names = dict(names)
        self.doubtful: dict[str, list[tuple[Any, ...]]] = {}
        self.mark = 0
        for operation in operations:
            self._take(operation)

    def trees(self) -> Iterator[tuple[str, Tree]]:
        """The states that a power cut may leave now."""
        choices = []
        for pending in self.doubtful.values():
            beginnings = [pending[:count] for count in range(len(pending) + 1)]
            without_one = [pending[:at] + pending[at + 1 :] for at in range(len(pending) - 1)]
            choices.append(beginnings + without_one)
        for chosen in itertools.product(*choices):
            names = dict(self.names)
            for operation in itertools.chain(*chosen):
                _rename_in(names, operation)
            for data in ("no data", "all data", "zeros", "half the data", "every other sector"):
                tree: Tree = {}
                for name, number in names.items():
                    place = os.path.dirname(name)
                    if not place or place in names:
                        tree[name] = None if number is None else self._content(number, data)
                yield f"{sum(map(len, chosen))} names, {data}", tree

    def _take(self, operation: tuple[Any, ...]) -> None:
        kind, *rest = operation
        if kind == "mark":
            self.mark = rest[0]
        elif kind == "lose":
            self.pending.clear()
        elif kind in ("write", "overwrite", "truncate"):
            self.pending.setdefault(rest[0], []).append(operation)
        elif kind == "sync" and isinstance(rest[0], int):
            self.durable[rest[0]] = self._content(rest[0], "all data")
            self.pending.pop(rest[0], None)
        elif kind == "sync":
            place = "" if rest[0] == "." else rest[0]
            for change in self.doubtful.pop(place, []):
                _rename_in(self.names, change)
        else:
            self.doubtful.setdefault(os.path.dirname(rest[0]), []).append(operation)

    def _content(self, number: int, data: str) -> bytes:
        content = bytearray(self.durable[number])
        pending = self.pending.get(number, [])
        if data == "no data":
            pending = []
        for kind, _, *rest in pending:
            if kind == "truncate":
                del content[rest[0] :]
                continue
            _put(content, kind, *rest, data)
        return bytes(content)


def _put(content: bytearray, kind: str, offset: int, written: bytes, data: str) -> None:
    """Write into `content` what reached the disk of `written`."""
    if kind == "overwrite" and data == "zeros":
        return  # a sector that was not written again has what it had
    if data == "half the data":
        written = written[: len(written) // 2]
    end = offset + len(written)
    content.extend(bytes(max(0, offset - len(content))))  # what was lost is a hole
    if data == "zeros":
        written = bytes(len(written))
    elif data == "every other sector":
        old = bytes(content[offset:end]) if kind == "overwrite" else b""
        mixed = bytearray(old.ljust(len(written), b"\0"))
        for sector in range(offset // SECTOR, end // SECTOR + 1, 2):
            at = max(0, sector * SECTOR - offset)
            mixed[at : (sector + 1) * SECTOR - offset] = written[
                at : (sector + 1) * SECTOR - offset
            ]
        written = bytes(mixed)
    content[offset:end] = written


def _rename_in(names: dict[str, int | None], operation: tuple[Any, ...]) -> None:
    kind, *rest = operation
    if kind == "name":
        names[rest[0]] = rest[1]
    elif kind == "rename":
        if rest[0] in names:
            names[rest[1]] = names.pop(rest[0])
    else:
        names.pop(rest[0], None)
