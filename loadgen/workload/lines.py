"""Data files, line by line: opened with a plain word on what is wrong, and left on the disk."""

import hashlib
import mmap
import stat
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from loadgen.errors import DataError, Problem, ScenarioError
from loadgen.scenario.words import Workload

KINDS: Final = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}
"""What a value of JSON is called in a message."""

_MOST_PROBLEMS: Final = 10
_BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = b" \t\r\n"


class Mistakes:
    """The mistakes of one file, told together: ten at once, so that a wrong column is no thousand runs."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._problems: list[Problem] = []

    def add(self, number: int, what: str, remedy: str = "") -> None:
        """Note a mistake of line `number` (from 1).

        Raises:
            DataError: this was the tenth.
        """
        self.hold(number, what, remedy)
        if len(self._problems) == _MOST_PROBLEMS:
            self.settle()

    def hold(self, number: int, what: str, remedy: str = "") -> None:
        """Note a mistake that matters only if `settle` is called; beyond ten they are not kept."""
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(Problem(f"{self.path}:{number}", what, remedy))

    def settle(self) -> None:
        """End the file.

        Raises:
            DataError: there was a mistake; carries all of them.
        """
        if self._problems:
            first, *more = self._problems
            raise DataError(first.place, first.what, first.remedy, more=more)


def file_of(workload: Workload) -> str:
    """Return the path a source reads.

    Raises:
        ScenarioError: the workload names none.
    """
    if workload.file is None:
        raise ScenarioError(
            "workload.file", "is missing", f'source = "{workload.source}" reads a file: name it'
        )
    return workload.file


@contextmanager
def opened(path: str, kind: str) -> Iterator[BinaryIO]:
    """Open a data file for reading; kind: what it should be, for the message.

    Raises:
        DataError: it is not there, may not be read, or is no regular file; also while it is read.
    """
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):  # opening a pipe would wait for its writer
            what = "is a directory" if stat.S_ISDIR(mode) else "is not a regular file"
            raise DataError(path, what, f"name a {kind}")
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(path, f"can't be read ({error.strerror or error})") from error


def numbered(file: BinaryIO, digest: Any) -> Iterator[tuple[int, int, bytes]]:
    """Yield each line's number (from 1), the place of its first byte, and the line without blanks at its end.

    A byte order mark is left out. digest: a hash that gets every byte.
    """
    position = 0
    for number, raw in enumerate(file, 1):
        digest.update(raw)
        skip = len(_BOM) if number == 1 and raw.startswith(_BOM) else 0
        yield number, position + skip, raw[skip:].rstrip(_BLANK)
        position += len(raw)


class KeptFile:
    """A file that stays on the disk: parts of it are read when they are asked for.

    A file that is replaced or grows is read as it was.
    """

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.path = path
        self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def part(self, start: int, end: int) -> bytes:
        """Return the bytes from start to end.

        Raises:
            DataError: the file became shorter since it was opened.
        """
        if self.map.size() < end:  # reading past the end of a cut file would kill the process
            raise DataError(self.path, "became shorter during the run", "leave the file as it is")
        return self.map[start:end]


class KeptLines:
    """The lines of a file that stays on the disk, checked once.

    look: gets the number (from 1) and bytes of every line that is not blank, and raises what is wrong.
    blank: gets the number of each blank line. contents_digest: hex SHA-256 of the file's bytes.

    Raises:
        DataError: the file can't be read; what `look` raises. A file without a line has length 0.
    """

    def __init__(
        self,
        path: str,
        kind: str,
        look: Callable[[int, bytes], None],
        blank: Callable[[int], None] | None = None,
    ) -> None:
        digest = hashlib.sha256()
        self._starts = array("q")
        with opened(path, kind) as file:
            for number, start, line in numbered(file, digest):
                if line:
                    self._starts.append(start)
                    look(number, line)
                elif blank:
                    blank(number)
            self.contents_digest = digest.hexdigest()
            self._length = len(self._starts)
            if self._length:
                self._starts.append(file.tell())
                self._file = KeptFile(path, file)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> bytes:
        """Return a line by its number among those that are not blank, from 0; white space may follow it.

        Raises:
            DataError: the file became shorter since it was opened.
        """
        return self._file.part(self._starts[index], self._starts[index + 1])


def row_of(session: int, rows: int, count: int | None) -> int:
    """Return the row of a session: after the last comes the first again, where `count` is None.

    Raises:
        IndexError: it is past the end of a source that stops.
    """
    if count is not None and session >= count:
        raise IndexError(f"session {session} of {count}")
    return session % rows


def read_json(line: bytes) -> Any:
    """Decode a line.

    Raises:
        DataError: it is not JSON; without a place.
    """
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            line.decode()
        except UnicodeDecodeError as bad:
            what = f"is not UTF-8 (byte {bad.start + 1} of the line)"
            raise DataError("", what, "save the file as UTF-8") from None
        what = f"is not JSON ({error.msg}, column {error.colno})"
        raise DataError("", what, "write one object a line") from None
