"""What is shown while a run goes on: a live block on a terminal, else a line every few seconds.

Drawn here and not by a library: a redraw costs some hundred microseconds of the loop's time, where a
general one takes milliseconds, which the stopwatch would see. The bytes are written by a thread, so that a
terminal that has been stopped (Ctrl-S) stops no stream.
"""

import contextlib
import math
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final, Literal

from loadgen.run.open import OpenLoop
from loadgen.run.runner import Runner
from loadgen.units import NS_PER_S, format_number

Style = Literal["live", "lines", "none"]
LINE_EVERY_S: Final = 5
_HEAD: Final = {
    "in flight": 9,
    "ok": 7,
    "failed": 7,
    "requests/s": 10,
    "tokens/s": 8,
    "TTFT p50": 8,
    "p99 ms": 7,
}
_BAR: Final = 24
_MAX_QUEUED: Final = 4


class _Teletype:
    """Writes text to a file descriptor from a thread; drops what a stalled reader does not take."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="progress", daemon=True)
        self._thread.start()

    def put(self, text: str, *, always: bool = False) -> bool:
        """Hand over a text; return whether it will be shown."""
        taken = always or self._texts.qsize() < _MAX_QUEUED
        if taken:
            self._texts.put(text)
        return taken

    def close(self) -> None:
        self._texts.put(None)
        self._thread.join(timeout=1.0)

    def _write(self) -> None:
        while (text := self._texts.get()) is not None:
            data = text.encode()
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError:  # the reader is gone; the run is not
                return


class Progress:
    """Shows a runner's state. `update` is called twice a second from the loop, `close` at the end."""

    def __init__(self, name: str, style: Style, fd: int = 2) -> None:
        self._name = name
        self._style = style
        self._fd = fd
        self._teletype = _Teletype(fd) if style != "none" else None
        self._drawn = 0
        self._level = 0
        self._last = (0, [0], [0])
        self._next_line_s = LINE_EVERY_S
        self._rates: list[tuple[float, float]] = []
        self._runner: Runner | None = None
        self._drained_s = 0.0  # by when what is in flight has ended

    def message(self, text: str) -> None:
        """Show one line of text above the block, which comes again with the next update."""
        if self._teletype is not None:
            self._teletype.put(f"{self._clear()}{text}\n", always=True)
            self._drawn = 0

    def update(self, runner: Runner) -> None:
        """Show the state of now."""
        if self._teletype is None:
            return
        self._runner = runner
        elapsed_s = runner.elapsed_ns / NS_PER_S
        if self._style == "live":
            rows = self._block(runner, elapsed_s)
            up = f"\x1b[{self._drawn}A" if self._drawn else ""
            if self._teletype.put(up + "".join(f"\x1b[2K{row}\n" for row in rows)):
                self._drawn = len(rows)
        elif elapsed_s >= self._next_line_s:
            self._next_line_s += LINE_EVERY_S
            self._teletype.put("".join(f"{line}\n" for line in self._lines(runner, elapsed_s)))

    def close(self) -> None:
        """Clear the block and say what was cut off; what comes next is the result."""
        if self._teletype is None:
            return
        cut_off = _cut_off(self._runner) if self._runner is not None else 0
        last = f"{cut_off:,} cut off: still in flight when the run ended\n" if cut_off else ""
        self._teletype.put(self._clear() + last, always=True)
        self._teletype.close()

    def _clear(self) -> str:
        return f"\x1b[{self._drawn}A\x1b[J" if self._drawn else ""

    def _block(self, runner: Runner, elapsed_s: float) -> list[str]:
        rows = [self._head(runner, elapsed_s), *self._table(runner), *_besides(runner)]
        width = _columns(self._fd)
        return [row[: width - 1] for row in rows]

    def _head(self, runner: Runner, elapsed_s: float) -> str:
        share, left = _remaining(runner) if runner.sending else (1.0, self._draining(runner, elapsed_s))
        filled = round(share * _BAR)
        bar = "█" * filled + "░" * (_BAR - filled)
        return f"{self._name}  {_phase(runner)}  {bar} {share:4.0%}  {left}  ({elapsed_s:.0f} s)"

    def _draining(self, runner: Runner, elapsed_s: float) -> str:
        if not self._drained_s:  # seen for the first time
            bounded = runner.interrupted or runner.end_ns is not None
            self._drained_s = elapsed_s + (runner.plan.grace_ns / NS_PER_S if bounded else math.inf)
        left_s = max(0.0, self._drained_s - elapsed_s)
        return "until all have ended" if left_s == math.inf else f"at most {left_s:.0f} s"

    def _table(self, runner: Runner) -> list[str]:
        names = [c.target.name for c in runner.clients]
        column = min(28, max(6, *(len(n) for n in names)))
        rows = [f"{'target':<{column}} " + " ".join(f"{h:>{w}}" for h, w in _HEAD.items())]
        for i, cells in enumerate(self._cells(runner)):
            figures = " ".join(f"{c:>{w}}" for c, w in zip(cells, _HEAD.values(), strict=True))
            rows.append(f"{names[i][:column]:<{column}} {figures}")
        return rows

    def _lines(self, runner: Runner, elapsed_s: float) -> list[str]:
        lines = []
        for client, cells in zip(runner.clients, self._cells(runner), strict=True):
            flight, ok, failed, requests, tokens, p50, p99 = cells
            lines.append(
                f"{elapsed_s:.0f} s {_phase(runner)}: {client.target.name}: {flight} in flight, {ok} ok, "
                f"{failed} failed, {requests} requests/s, {tokens} tokens/s, TTFT p50 {p50} ms, p99 {p99} ms"
            )
        return lines + [f"  {line}" for line in _besides(runner)]

    def _cells(self, runner: Runner) -> list[tuple[str, ...]]:
        """One row of figures a target; rates are of the time since the last time they were shown."""
        recorders = runner.level_recorders()
        if self._level != runner.level:
            self._level = runner.level
            began_ns = runner.plan.levels[self._level].start_ns
            self._last = (began_ns, [0] * len(recorders), [0] * len(recorders))
        ok = [sum(o["ok"] for o in r.outcomes.values()) for r in recorders]
        tokens = [r.output_tokens for r in recorders]
        now = runner.elapsed_ns
        before, ok_before, tokens_before = self._last
        if now - before >= NS_PER_S or not self._rates:
            span_s = max(1e-9, (now - before) / NS_PER_S)
            if len(ok_before) != len(ok):
                ok_before, tokens_before = [0] * len(ok), [0] * len(ok)
            self._rates = [
                ((o - o0) / span_s, (t - t0) / span_s)
                for o, o0, t, t0 in zip(ok, ok_before, tokens, tokens_before, strict=True)
            ]
            self._last = (now, ok, tokens)
        return [
            (
                str(len(client.live)),
                str(ok[i]),
                str(sum(r.failures.values())),
                format_number(self._rates[i][0]),
                format_number(self._rates[i][1]),
                *(_ms(r.distribution("ttft").percentile(p)) for p in (50, 99)),
            )
            for i, (client, r) in enumerate(zip(runner.clients, recorders, strict=True))
        ]


def _columns(fd: int) -> int:
    """Return the width of the terminal at `fd`; standard output may be another or none."""
    with contextlib.suppress(OSError):
        if columns := os.get_terminal_size(fd).columns:
            return columns
    return 80


def _ms(value: float | None) -> str:
    return "-" if value is None else format_number(value)


def _phase(runner: Runner) -> str:
    if not runner.sending:
        return "draining"
    label = runner.plan.levels[runner.level].label
    phase = "warming up" if runner.elapsed_ns < runner.window_ns[0] else "measuring"
    return f"{phase} at {label}" if label else phase


def _remaining(runner: Runner) -> tuple[float, str]:
    """Return the share of the run that is done, and what is left in words: by time or by count."""
    end, requests = runner.end_ns, runner.plan.requests
    shares: list[tuple[float, str]] = []
    if end:
        left = max(0, end - runner.elapsed_ns)
        shares.append((1 - left / end, f"{left / NS_PER_S:.0f} s left"))
    if requests:
        begun = [runner.begun(i) for i in range(len(runner.clients))]
        shares.append((min(begun) / requests, f"{sum(begun):,} of {requests * len(begun):,} begun"))
    return max(shares, default=(0.0, ""))


def _cut_off(runner: Runner) -> int:
    recorders = runner.recorder.targets.values()
    return sum(outcomes["cancelled"] for r in recorders for outcomes in r.outcomes.values())


def _besides(runner: Runner) -> Iterator[str]:
    """Say what is over all targets, once there is any: what the cap held back, what failed."""
    delayed = runner.loop.delayed if isinstance(runner.loop, OpenLoop) else 0
    capped = {"dropped": runner.arrivals.dropped, "delayed": delayed}
    if any(capped.values()):
        yield "max_in_flight: " + ", ".join(f"{n:,} {what}" for what, n in capped.items() if n)
    if errors := _errors(runner):
        yield "errors: " + errors


def _errors(runner: Runner) -> str:
    """Count the failures by kind."""
    counts: dict[str, int] = {}
    for recorder in runner.recorder.targets.values():
        for outcome, n in recorder.failures.items():
            counts[outcome] = counts.get(outcome, 0) + n
    return ", ".join(f"{n:,} {outcome}" for outcome, n in sorted(counts.items(), key=lambda c: -c[1]))


def choose_style(quiet: bool, is_terminal: Callable[[], bool]) -> Style:
    """Pick how progress is shown."""
    if quiet:
        return "none"
    return "live" if is_terminal() and os.environ.get("TERM", "") != "dumb" else "lines"
