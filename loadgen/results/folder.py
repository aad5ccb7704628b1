"""The run folder while it is written: what is appended during the run, what is written whole.

Appending never waits for the disk: lines gather in lists, a thread writes them. The first write that fails
ends the writing, and `RunFolder.error` says why; what is in the files by then stays, in whole lines.
"""

import contextlib
import errno
import queue
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from loadgen.errors import OutputError
from loadgen.results.model import Report

SAMPLES: Final = "samples.jsonl"
HISTOGRAMS: Final = "histograms.hlog"
HEADER: Final = "run.json"
REPORT: Final = "report.json"
SCENARIO: Final = "scenario.toml"
LATEST: Final = "latest"

_Work = Callable[[], None]
_TOGETHER: Final = 16  # lines for one write: a large one keeps a core that it shares with us for long
_CLOSE_TIMEOUT_S: Final = 30.0


class RunFolder:
    """One run's folder, being written. Made by `create`; `close` it also after a failure.

    path: the folder. error: the first failure of the disk, None as long as there is none; from then on
    nothing is written any more, and the run should stop.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: OSError | None = None
        self._samples: list[bytes] = []
        self._intervals: list[bytes] = []
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        try:
            self._samples_file = _LineFile(path / SAMPLES)
            self._intervals_file = _LineFile(path / HISTOGRAMS)
        except OSError as error:
            raise _not_writable(path, error) from None
        # a daemon: a disk that never answers must not keep the process alive
        self._thread = threading.Thread(target=self._write, name="run folder", daemon=True)
        self._thread.start()

    @classmethod
    def create(cls, out: Path, scenario_name: str, started_at: datetime) -> "RunFolder":
        """Make `<out>/<scenario name>/<UTC time>-<short id>/` and point `latest` beside it to it.

        started_at: aware. A file system without symbolic links gets no `latest`.

        Raises:
            OutputError: the folder can't be made, or nothing can be written into it.
        """
        parent = out.resolve() / scenario_name
        path = parent / f"{started_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        probe = path / ".writable"
        try:
            path.mkdir(parents=True)
            probe.write_bytes(b"1")
            probe.unlink()
        except OSError as error:
            raise _not_writable(path, error) from None
        with contextlib.suppress(OSError):
            _point_latest(parent, path.name)
        return cls(path)

    @property
    def id(self) -> str:
        """The run's id: the name of its folder."""
        return self.path.name

    def append(self, line: bytes) -> None:
        """Take one line of samples.jsonl, with its line end. Costs well under a microsecond."""
        self._samples.append(line)
        if len(self._samples) >= _TOGETHER:
            self._hand_over(self._samples, self._samples_file)
            self._samples = []

    def append_hlog(self, line: bytes) -> None:
        """Take one line (or several) of histograms.hlog, with line ends."""
        self._intervals.append(line)

    def write_header(self, header: bytes) -> None:
        """Have run.json replaced; header: an encoded `RunState`."""
        path = self.path / HEADER
        self._work.put(lambda: _replace(path, header))

    def flush(self) -> None:
        """Hand what has gathered to the writing thread; does not wait for it."""
        for lines, file in ((self._samples, self._samples_file), (self._intervals, self._intervals_file)):
            if lines:
                self._hand_over(lines.copy(), file)
                lines.clear()

    def _hand_over(self, lines: list[bytes], file: "_LineFile") -> None:
        self._work.put(lambda: file.write(b"".join(lines)))

    def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Write what is still there and end the thread; waits at most `timeout_s` for the disk."""
        self.flush()
        self._work.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive() and self.error is None:
            why = f"the disk did not take the data within {timeout_s:.0f} s"
            self.error = TimeoutError(errno.ETIMEDOUT, why)

    def write_scenario(self, text: str) -> None:
        """Write scenario.toml.

        Raises:
            OutputError: it can't be written.
        """
        self.write_text(SCENARIO, text)

    def write_text(self, name: str, text: str) -> None:
        """Write a whole file.

        Raises:
            OutputError: it can't be written.
        """
        write_file(self.path / name, text.encode())

    def _write(self) -> None:
        """Do the thread's work: as few steps of Python as can be, since they take the interpreter's lock."""
        while (work := self._work.get()) is not None:
            if self.error is not None:
                continue  # the queue is still emptied, so that memory does not fill
            try:
                work()
            except OSError as error:
                self.error = error
        self._samples_file.close()
        self._intervals_file.close()


class _LineFile:
    """A file that only ever grows by whole lines, as far as the disk allows."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._size = 0

    def write(self, data: bytes) -> None:
        """Write lines; when the disk fails in the middle of one, its beginning is taken back."""
        done = 0
        try:
            while done < len(data):
                done += self._file.write(data[done:] if done else data)
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size + data.rfind(b"\n", 0, done) + 1)
            raise
        self._size += done

    def close(self) -> None:
        self._file.close()


def write_report(folder: Path, report: Report) -> None:
    """Write a folder's report.json.

    Raises:
        OutputError: it can't be written.
    """
    data = msgspec.json.format(msgspec.json.encode(report), indent=1)
    write_file(folder / REPORT, data + b"\n")


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file: there is the old one or the new one, never half of it.

    Raises:
        OutputError: it can't be written.
    """
    try:
        _replace(path, data)
    except OSError as error:
        remedy = f"make room or write access there, then: loadgen report {path.parent}"
        if not (path.parent / SAMPLES).exists():  # no run folder
            remedy = "give a file in a folder that can be written to"
        raise OutputError(str(path), f"can't be written: {error.strerror or error}", remedy) from None


def append_text(path: Path, text: str) -> None:
    """Add text to a file, which is made where there is none.

    Raises:
        OutputError: it can't be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(str(path), f"can't be written: {error.strerror or error}") from None


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _point_latest(parent: Path, name: str) -> None:
    part = parent / f".{LATEST}-{name}"
    part.symlink_to(name)
    try:
        part.replace(parent / LATEST)
    except OSError:
        part.unlink()
        raise


def _not_writable(path: Path, error: OSError) -> OutputError:
    place = str(error.filename or path)
    remedy = "choose another folder with --out"
    return OutputError(place, f"the run folder can't be written: {error.strerror or error}", remedy)
