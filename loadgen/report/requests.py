"""Single requests, picked while the samples are read: the slowest, and some at random. And their plots."""

import heapq
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, pairwise
from typing import Any, Final

import msgspec
import numpy as np

from loadgen.report.figures import amount, clean, number
from loadgen.report.grids import Grid
from loadgen.report.plots import COLOURS, Plot, axis, label, marker, scale_of
from loadgen.units import NS_PER_MS, format_number

_ROWS: Final = 240  # of the timeline, over all targets
_POINTS: Final = 2_400  # of the scatter plot
_ROW_PX: Final = 3  # so that all of them fit a printed page
_PARTS: Final = (
    ("not yet sent", "#F0E442"),
    ("connect", COLOURS[4]),
    ("wait for output", "#707070"),
    ("stream", COLOURS[5]),
)
_TOKENS: Final = ("prompt tokens", "output tokens")


class Request(msgspec.Struct):
    """What is shown of one request; the rest of its line in samples.jsonl is passed over."""

    seq: int
    target: str
    phase: str
    outcome: str
    intended_ns: int
    done_ns: int
    task: str = ""
    level: str = ""
    error: str | None = None
    connect_start_ns: int | None = None
    connected_ns: int | None = None
    sent_ns: int | None = None
    first_token_ns: int | None = None
    last_token_ns: int | None = None
    prompt_tokens: int | None = None
    asked_prompt_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def whose(self) -> str:
        """The name of its target in the report: with the level, where there are several."""
        return f"{self.target} @ {self.level}" if self.level else self.target

    @property
    def took_ms(self) -> float:
        """Milliseconds from its intended time to its end."""
        return (self.done_ns - self.intended_ns) / NS_PER_MS

    @property
    def ttft_ms(self) -> float | None:
        """Milliseconds from the first byte sent to the first output; None where there was none."""
        if self.sent_ns is None or self.first_token_ns is None:
            return None
        return (self.first_token_ns - self.sent_ns) / NS_PER_MS


class Picked(msgspec.Struct):
    """What one target's requests of the window are shown by. seen: how many there were."""

    slowest: list[Request]
    random: list[Request]
    seen: int


def pick(requests: Iterable[Request], names: Sequence[str]) -> dict[str, Picked]:
    """Pick from each target's requests of the window, in one pass and bounded memory.

    names: of the targets; a request of none of them is passed over. Every request has the same chance to be
    among the random ones (the smallest of random keys).
    """
    chance = random.Random(0).random  # noqa: S311  # a picture, made twice alike
    slow, points = _ROWS // len(names) // 2 + 1, _POINTS // len(names) + 1
    found: dict[str, tuple[list[Any], list[Any]]] = {name: ([], []) for name in names}
    seen = dict.fromkeys(names, 0)
    number = count()  # ties are never decided by comparing requests
    for request in requests:
        name = request.whose
        if request.phase != "measure" or name not in found:
            continue
        seen[name] += 1
        slowest, anyone = found[name]
        n = next(number)
        _keep(slowest, (request.done_ns - request.intended_ns, n, request), slow)
        _keep(anyone, (chance(), n, request), points)
    return {
        name: Picked(
            [r for *_, r in sorted(slowest, reverse=True)], [r for *_, r in sorted(anyone)], seen[name]
        )
        for name, (slowest, anyone) in found.items()
    }


def _keep(heap: list[Any], item: tuple[float, int, Request], most: int) -> None:
    """Keep the `most` greatest."""
    if len(heap) < most:
        heapq.heappush(heap, item)
    elif item[0] > heap[0][0]:
        heapq.heapreplace(heap, item)


# the timeline


def timeline(picked: dict[str, Picked]) -> Plot | None:
    """Single requests below each other, the slowest on top; None where there are none."""
    several = len(picked) > 1
    each = _ROWS // max(1, len(picked))
    rows = sorted(
        (r for p in picked.values() for r in _some(p, max(2, each))), key=lambda r: (-r.took_ms, r.seq)
    )
    if not rows:
        return None
    y = list(range(1, len(rows) + 1))
    hover = [_hover(r) for r in rows]
    bar = {"type": "bar", "orientation": "h", "textposition": "none"}
    traces = [
        _trace(name, [round(v, 3) for v in lengths], y, hover, **bar, marker={"color": colour})
        for (name, colour), lengths in zip(_PARTS, zip(*map(_parts, rows), strict=True), strict=True)
        if any(lengths)
    ]
    if bad := [n for n, r in enumerate(rows) if r.outcome != "ok"]:
        cross = {"mode": "markers", "marker": {"symbol": "x", "size": 7, "color": "#E0433A"}}
        took, texts = [rows[n].took_ms for n in bad], [hover[n] for n in bad]
        traces.append(_trace("failed or cut off", took, [y[n] for n in bad], texts, **cross))
    traces += _whose(rows, picked) if several else ()
    whom = " The mark on the left tells the target." if several else ""
    shown, total = len(rows), sum(p.seen for p in picked.values())
    which = f"{shown} of {total:,}: of each target its slowest and as many at random"
    which = "all of them" if shown == total else which
    layout = {
        "barmode": "stack",
        "bargap": 0,
        "hovermode": "closest",
        "xaxis": axis("ms since the planned start", domain=[0.03 if several else 0, 1]),
        "yaxis": {"range": [shown + 0.5, 0.5], "showticklabels": False, "showgrid": False, "zeroline": False},
        "legend": {"traceorder": "normal", "itemsizing": "constant"},
        "xaxis2": {"domain": [0, 0.02], "visible": False, "range": [-1, 1]},
    }
    return Plot(
        "requests",
        f"A line is a request of the window, the slowest on top ({which}).{whom}",
        f"Bars of {shown} requests by how long they took, from {format_number(rows[0].took_ms)} ms "
        f"({clean(rows[0].whose)}) down to {format_number(rows[-1].took_ms)} ms ({clean(rows[-1].whose)}).",
        {"data": traces, "layout": layout},
        _request_table(rows),
        140 + _ROW_PX * shown,
    )


def _trace(
    name: str, x: Sequence[Any], y: Sequence[int], hover: Sequence[str], **look: Any
) -> dict[str, Any]:
    return {"name": name, "x": x, "y": y, "text": hover, "hovertemplate": "%{text}<extra></extra>"} | look


def _some(picked: Picked, most: int) -> Iterator[Request]:
    """Yield the slowest and as many at random, each once."""
    slowest = picked.slowest[: most // 2]
    yield from slowest
    there = {r.seq for r in slowest}
    others = [r for r in picked.random if r.seq not in there]
    yield from others[: most - len(slowest)]


def _parts(r: Request) -> tuple[float, ...]:
    """Milliseconds of each of `_PARTS`; they add up to what the request took."""
    left = next(t for t in (r.connect_start_ns, r.sent_ns, r.done_ns) if t is not None)
    ready = next(t for t in (r.connected_ns, left) if t is not None)
    first = next(t for t in (r.first_token_ns, r.done_ns) if t is not None)
    if r.connected_ns is None and r.connect_start_ns is not None and r.sent_ns is None:
        ready = first  # the connection never came about
    instants = (r.intended_ns, left, ready, max(first, ready), r.done_ns)
    return tuple(max(0, b - a) / NS_PER_MS for a, b in pairwise(instants))


def _whose(rows: Sequence[Request], picked: dict[str, Picked]) -> Iterator[dict[str, Any]]:
    """Yield a column of marks for each target."""
    for i, name in enumerate(picked):
        at = [n for n, r in enumerate(rows, 1) if r.whose == name]
        yield {
            "x": [0] * len(at),
            "y": at,
            "xaxis": "x2",
            "name": label(name),
            "hoverinfo": "name",
        } | marker(i, size=5, symbol="square")


def _hover(r: Request) -> str:
    lengths = zip(_PARTS, _parts(r), strict=True)
    told = [f"{label(r.whose)}, request {r.seq}", f"{format_number(r.took_ms)} ms in all"]
    told += [f"{name} {format_number(ms)} ms" for (name, _), ms in lengths if ms]
    tokens = zip((r.prompt_tokens, r.output_tokens), _TOKENS, strict=True)
    told += [f"{n:,} {what}" for n, what in tokens if n is not None]
    if r.outcome != "ok":
        told.append(label(f"{r.outcome}: {r.error or ''}"[:200]))
    return "<br>".join(told)


def _request_table(rows: Sequence[Request]) -> Grid:
    heads = ("target", "request", "task", "outcome", "ms in all", *(name for name, _ in _PARTS), *_TOKENS)
    cells = (
        (
            clean(r.whose),
            str(r.seq),
            clean(r.task),
            clean(r.outcome if r.error is None else f"{r.outcome}: {r.error}"),
            *map(number, (r.took_ms, *_parts(r))),
            *map(amount, (r.prompt_tokens, r.output_tokens)),
        )
        for r in rows
    )
    return Grid("Single requests", heads, tuple(cells))


# TTFT against prompt length


def by_prompt_length(picked: dict[str, Picked]) -> Plot | None:
    """TTFT of single requests by the length of their prompts; None where lengths or TTFT are not known."""
    points = {name: [p for r in found.random if (p := _point(r))] for name, found in picked.items()}
    several = [(i, name, points[name]) for i, name in enumerate(points) if points[name]]
    if not several:
        return None
    shown = [p for _, _, each in several for p in each]
    traces = [
        {
            "name": label(name),
            "x": [length for length, _ in each],
            "y": [ttft for _, ttft in each],
            "hovertemplate": "%{x:,} prompt tokens: %{y:,.4g} ms",
        }
        | marker(i, size=5, opacity=0.6)
        for i, name, each in several
    ]
    drawn = any(len(p.random) < p.seen for p in picked.values())
    layout = {
        "xaxis": scale_of([length for length, _ in shown], "prompt tokens"),
        "yaxis": scale_of([ttft for _, ttft in shown], "TTFT, ms"),
        "hovermode": "closest",
    }
    return Plot(
        "prompt-length",
        f"A point is a successful request{f': {len(shown):,}, drawn at random' if drawn else ''}.",
        f"TTFT in ms against prompt tokens, {min(shown)[0]:,} to {max(shown)[0]:,} tokens.",
        {"data": traces, "layout": layout},
        _length_table(several),
    )


def _point(r: Request) -> tuple[int, float] | None:
    length, ttft = r.prompt_tokens or r.asked_prompt_tokens, r.ttft_ms
    return (length, round(ttft, 3)) if r.outcome == "ok" and length and ttft is not None else None


def _length_table(several: Sequence[tuple[int, str, list[tuple[int, float]]]]) -> Grid:
    """The points of the plot by steps of the length, each twice the one before."""
    rows = []
    for _, name, points in several:
        by_step: dict[int, list[float]] = {}
        for length, ttft in points:
            by_step.setdefault(length.bit_length() - 1, []).append(ttft)
        rows += [
            (
                clean(name),
                f"{1 << step:,} to {(2 << step) - 1:,}",
                f"{len(values):,}",
                *(format_number(float(np.percentile(values, p, method="inverted_cdf"))) for p in (50, 90)),
            )
            for step, values in sorted(by_step.items())
        ]
    heads = ("target", "prompt tokens", "points", "TTFT p50, ms", "p90")
    return Grid("TTFT by prompt length", heads, tuple(rows))
