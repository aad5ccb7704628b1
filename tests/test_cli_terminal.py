"""On a terminal: the live block is drawn over itself and cleared, messages stay, colour can be refused."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.endpoint import Endpoint, stream
from tests.program import PROGRAM, ended_well, environment, target, write_scenario

COLUMNS = 100
COLOUR = re.compile(r"\x1b\[[0-9;]*[34][0-9][0-9;]*m")


class Screen:
    """As much of a terminal as the program uses: lines, cursor up, erase below, erase line."""

    def __init__(self, columns: int = COLUMNS) -> None:
        self.lines = [""]
        self.row = 0
        self.columns = columns
        self.seen: list[str] = []
        self.drawn: set[int] = set()

    def feed(self, text: str) -> None:
        for part in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
            if part == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif part.startswith("\x1b"):
                self._control(part[-1], part[2:-1])
            elif part != "\r":
                self.lines[self.row] += part
                # lines that are drawn over must not wrap
                assert self.row not in self.drawn or len(self.lines[self.row]) < self.columns
                self.seen.append(part)

    def _control(self, name: str, number: str) -> None:
        if name == "A":
            self.row -= int(number)
            assert self.row >= 0
        elif name == "J":
            self.lines = [*self.lines[: self.row], ""]
            self.drawn.clear()
        elif name == "K":
            assert number == "2"
            self.lines[self.row] = ""
            self.drawn.add(self.row)
        else:
            assert name == "m", f"unexpected escape {name!r}"


def on_a_terminal(
    *args: str | Path,
    only_stderr: bool = False,
    at: Callable[[str, subprocess.Popen[bytes]], None] = lambda _text, _process: None,
    env: Mapping[str, str] | None = None,
) -> tuple[int, str, str]:
    """Run the program on a pseudo-terminal; return exit code, what the terminal got, standard output.

    at: called with everything so far whenever something comes.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [*PROGRAM, *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if only_stderr else slave,
        stderr=slave,
        env=environment(**{"TERM": "xterm-256color"} | dict(env or {})),
    )
    os.close(slave)
    text = b""
    try:
        while data := _read(master):
            text += data
            at(text.decode("utf-8", "replace"), process)
        out = process.stdout.read() if process.stdout else b""
        return process.wait(30), text.decode(), out.decode()
    finally:
        process.kill()
        process.communicate()
        os.close(master)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # how Linux says that the other side is closed
        return b""


def test_the_block_is_shown_and_cleared(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream(3, gap_s=0.05)) as endpoint:
        targets = [target(name, endpoint.base_url) for name in ("one", "two")]
        load = {"concurrency": 2, "duration": "700ms", "warmup": "800ms"}
        path = write_scenario(tmp_path, *targets, load=load)
        code, text, _ = on_a_terminal("run", path, "--out", tmp_path / "out")
    assert ended_well(code, tmp_path / "out")
    screen = Screen()
    screen.feed(text)
    shown = "\n".join(screen.seen)
    for told in ("s  warming up", "s  measuring", "one  ", "two  ", "TTFT p50", "█", "in flight"):
        assert told in shown
    rest = "\n".join(screen.lines)
    assert "measuring" not in rest
    assert "in flight" not in rest
    assert rest.count("requests ok") == 1
    assert COLOUR.search(text)


def test_the_block_when_only_standard_error_is_a_terminal(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream(3, gap_s=0.05)) as endpoint:
        path = write_scenario(tmp_path, target("a" * 150, endpoint.base_url), load={"duration": "800ms"})
        args = ("run", path, "--out", tmp_path / "out", "--json")
        code, text, out = on_a_terminal(*args, only_stderr=True)
    assert ended_well(code, tmp_path / "out")
    assert out.startswith('{\n "format": 1')
    screen = Screen()
    screen.feed(text)
    assert any("measuring" in part for part in screen.seen)
    assert 80 < max(len(part) for part in screen.seen) <= COLUMNS - 1
    left = "".join(screen.lines).strip()
    assert left.startswith(str(tmp_path / "out" / "s"))  # where the run lies; the block is gone
    assert "measuring" not in left


def test_a_drain_says_how_long_it_can_take_and_what_it_cut_off(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream(90, gap_s=0.5)) as endpoint:
        load = {"concurrency": 2, "duration": "800ms", "grace": "3s"}
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load=load)
        code, text, _ = on_a_terminal("run", path, "--out", tmp_path / "out", "--no-probe")
    assert code in (0, 4)  # invalid where nothing succeeded
    screen = Screen()
    screen.feed(text)
    drains = [part for part in screen.seen if "draining" in part]
    left = [int(part.split("at most ")[1].split(" s")[0]) for part in drains]
    assert left[0] == 3
    assert left == sorted(left, reverse=True)
    assert not any("left" in part for part in drains)
    assert "2 cut off: still in flight when the run ended" in [line.strip("\r") for line in screen.lines]


def test_a_message_stays_above_the_block(tmp_path: Path) -> None:
    told = "stopping: waiting up to 5s for what is in flight (Ctrl-C again cuts it off)"
    sent: list[int] = []

    def interrupt(text: str, process: subprocess.Popen[bytes]) -> None:
        if "measuring" in text and not sent:
            sent.append(1)
            process.send_signal(signal.SIGINT)

    with Endpoint(lambda _: stream(4, gap_s=0.4)) as endpoint:
        load = {"concurrency": 3, "duration": "30s", "grace": "5s"}
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load=load)
        code, text, _ = on_a_terminal("run", path, "--out", tmp_path / "out", "--no-probe", at=interrupt)
    assert code == 130
    screen = Screen()
    screen.feed(text)
    assert any("draining" in part for part in screen.seen)  # the block was drawn again after it
    assert screen.lines[0].strip("\r") == told
    assert "draining" not in "\n".join(screen.lines)
    assert "measuring" not in "\n".join(screen.lines)


@pytest.mark.parametrize(
    ("env", "live"),
    [({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False)],
    ids=["NO_COLOR", "a dumb terminal"],
)
def test_no_colour_where_it_is_not_wanted(tmp_path: Path, env: dict[str, str], live: bool) -> None:
    with Endpoint(lambda _: stream(3, gap_s=0.05)) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load={"duration": "700ms"})
        code, text, _ = on_a_terminal("run", path, "--out", tmp_path / "out", env=env)
    assert ended_well(code, tmp_path / "out")
    assert not COLOUR.search(text)
    assert ("\x1b[2K" in text) == live
