"""Plots over all requests: percentiles, distributions, the run over time. Each has the table of its figures.

Figures are without colours of ink and paper: the page has those.
"""

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final, NamedTuple

import numpy as np

from loadgen.measure.histogram import MIDPOINTS, Counts, Distribution
from loadgen.measure.metrics import ALL_METRICS, Metric
from loadgen.report.figures import clean, number
from loadgen.report.grids import Grid
from loadgen.results.model import Dist, Report, TargetReport

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#808080")
"""Told apart by colour-blind eyes (Okabe & Ito 2008); those seen on white and on black come first."""
NEUTRAL: Final = "#808080"
_DASHES: Final = ("solid", "dash", "dot", "dashdot")
_SYMBOLS: Final = ("circle", "diamond", "square", "triangle-up", "cross")
_SPIKE: Final = {"spikethickness": 1, "spikedash": "solid", "spikecolor": NEUTRAL}  # where a hover is
_PER_DECADE: Final = 40
_BINS: Final = 40
_MANY: Final = 4  # more areas than these hide each other
_TTFT: Final = "TTFT, ms"
_COUNTED: Final = ("sent", "ok", "failed", "output_tokens")
_LADDER: Final = (1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99)

Rows = Mapping[tuple[str, str], Counts]
"""Counts by target (with its level) and metric key: what histograms.hlog holds."""


class Plot(NamedTuple):
    """One plot. caption: how to read it. alt: what it shows, for those who can't see it.

    figure: plotly.js's data and layout. table: its figures; it has the plot's title.
    """

    id: str
    caption: str
    alt: str
    figure: dict[str, Any]
    table: Grid
    height_px: int = 400


class Span(NamedTuple):
    """A phase of the run: its name, and seconds since the run's epoch."""

    name: str
    start_s: float
    end_s: float


def label(text: str) -> str:
    """Write text from outside for plotly, which reads some HTML in texts, and formulas between dollars."""
    return html.escape(clean(text), quote=False).replace("$", "&#36;")


def line(i: int, **more: Any) -> dict[str, Any]:
    """Return how the lines of target number i look. more: as plotly has it."""
    look = {"color": COLOURS[i % len(COLOURS)], "dash": _DASHES[i % len(_DASHES)], "width": 2}
    return {"mode": "lines", "line": look | more}


def marker(i: int, **more: Any) -> dict[str, Any]:
    """Return how the points of target number i look. more: as plotly has it."""
    look = {"color": COLOURS[i % len(COLOURS)], "symbol": _SYMBOLS[i % len(_SYMBOLS)]}
    return {"mode": "markers", "marker": look | more}


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis. more: as plotly has it."""
    # by itself plotly has 2 3 4 ... between the powers of ten for 20 30 40 ...; so few are 20 50 100
    ticks = {"tickformat": ",~r", "nticks": 3} if more.get("type") == "log" else {}
    return {"title": {"text": title}, **ticks, **more}


def scale_of(values: Sequence[float], what: str) -> dict[str, Any]:
    """Return an axis: from 0, or logarithmic (and saying so) where the values differ by a factor of 30."""
    known = sorted(v for v in values if v > 0)
    if known and known[-1] > 30 * known[len(known) // 2]:
        return axis(f"{what}, log scale", type="log")
    return axis(what, rangemode="tozero")


# percentile spectrum and distributions, from the histograms


def spectrum(report: Report, rows: Rows, key: str, name: str) -> Plot | None:
    """Every percentile of a latency; None where no target has it. key: of the metric; name: as in reports."""
    metric, found = _found(report, rows, key)
    if not found:
        return None
    traces: list[dict[str, Any]] = []
    for i, target, d in found:
        x, y = _percentiles(d)
        text = [f"p{_percent(100 - 100 / step)}" for step in x]
        same = {"name": label(target.name), "legendgroup": str(i)}
        hover = {"text": text, "hovertemplate": "%{text}: %{y:,.4g} " + metric.unit}
        traces.append(same | {"x": x, "y": y} | hover | line(i))
        dist = target.metrics.get(key, Dist(count=0))
        if intervals := {p: at for p, at in dist.ci95.items() if at is not None}:
            traces.append(same | _intervals(dist, intervals) | marker(i, size=7))
    top = max(d.count for _, _, d in found)
    ticks = [10.0**n for n in range(1, len(str(top)))]
    layout = {
        "xaxis": axis(
            "share of requests that were no slower",
            type="log",
            tickvals=[1.0, 2.0, *ticks],
            ticktext=["0 %", "50 %", *(f"{_percent(100 - 100 / n)} %" for n in ticks)],
        ),
        "yaxis": scale_of([v for t in traces for v in t["y"]], f"{name}, {metric.unit}"),
        "hovermode": "closest",
    }
    heads = (f"{name}, {metric.unit}", *(clean(t.name) for _, t, _ in found))
    table = [(f"p{_percent(p)}", *(number(d.percentile(p)) for _, _, d in found)) for p in _LADDER]
    table += [("maximum", *(number(d.at_rank(d.count)) for _, _, d in found))]
    table += [("requests", *(f"{d.count:,}" for _, _, d in found))]
    said = [
        f"{clean(t.name)} {number(d.percentile(50))} at p50 and {number(d.percentile(99))} at p99"
        for _, t, d in found
    ]
    return Plot(
        f"spectrum-{metric.name}",
        "Each step to the right is a rarer request: one in ten, one in a hundred. Successful requests of the "
        "window. Bars: 95 % intervals of p50, p90 and p99.",
        f"{name} in {metric.unit} by percentile: {'; '.join(said)}.",
        {"data": traces, "layout": layout},
        Grid(f"Percentiles of {name}", heads, tuple(table)),
    )


def _percentiles(d: Distribution) -> tuple[list[float], list[float]]:
    """Return 1/(1 - p) in equal steps on a log axis, as far as there are requests; and the values."""
    steps = 10 ** (np.arange(int(_PER_DECADE * np.log10(max(1, d.count))) + 1) / _PER_DECADE)
    return steps.round(4).tolist(), [d.percentile(100 - 100 / s) or 0.0 for s in steps.tolist()]


def _intervals(dist: Dist, known: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """Return the trace of the percentiles whose intervals are known."""
    values = [getattr(dist, p) for p in known]
    return {
        "x": [100 / (100 - float(p[1:])) for p in known],
        "y": values,
        "showlegend": False,
        "text": [f"{number(low)} to {number(high)}" for low, high in known.values()],
        "hovertemplate": "%{y:,.4g}, 95 %: %{text}",
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [high - v for v, (_, high) in zip(values, known.values(), strict=True)],
            "arrayminus": [v - low for v, (low, _) in zip(values, known.values(), strict=True)],
        },
    }


def distribution(report: Report, rows: Rows, key: str, name: str, of: str) -> Plot | None:
    """How a metric is spread; None where no target has it. of: what has one value each ("requests")."""
    metric, found = _found(report, rows, key)
    if not found:
        return None
    edges = _edges([d for _, _, d in found], metric.scale)
    shares = [_shares(rows[target.name, key], metric.scale, edges) for _, target, _ in found]
    bins = [f"{number(low)} to {number(high)}" for low, high in pairwise(edges)]
    ratio = edges[1] / edges[0]
    centres = [edge * ratio**0.5 for edge in (edges[0] / ratio, *edges)]
    traces: list[dict[str, Any]] = []
    for (i, target, _), share in zip(found, shares, strict=True):
        trace = {
            "name": label(target.name),
            "x": centres,
            "y": [0.0, *share, 0.0],
            "text": ["less", *bins, "more"],
            "hovertemplate": f"%{{text}} {metric.unit}: %{{y:.3g}} %",
        } | line(i, shape="hvh")  # it steps half-way on the axis: at the edges
        area = {"fill": "tozeroy", "fillcolor": COLOURS[i % len(COLOURS)] + "26"}  # 15 % opaque
        traces.append(trace | area if len(found) <= _MANY else trace)
    told = np.array(shares).max(axis=0) > 0
    named = name if metric.unit in name else f"{name}, {metric.unit}"
    table = [(text, *(f"{share[b]:.2f} %" for share in shares)) for b, text in enumerate(bins) if told[b]]
    heads = (named, *(clean(t.name) for _, t, _ in found))
    peaks = [
        f"{who} most often {bins[int(np.argmax(share))]}"
        for who, share in zip(heads[1:], shares, strict=True)
    ]
    layout = {
        "xaxis": axis(f"{named}, log scale", type="log", unifiedhovertitle={"text": name}, **_SPIKE),
        "yaxis": axis(f"% of {of}", rangemode="tozero"),
        "hovermode": "x unified",
    }
    return Plot(
        f"distribution-{metric.name}",
        f"Share of the {of} of the window in each step; the steps are equally wide on the logarithmic axis.",
        f"Distribution of {name} in {metric.unit}: {'; '.join(peaks)}.",
        {"data": traces, "layout": layout},
        Grid(f"Distribution of {name}", heads, tuple(table)),
        340,
    )


def _found(
    report: Report, rows: Rows, key: str
) -> tuple[Metric, list[tuple[int, TargetReport, Distribution]]]:
    """Return the metric, and the targets that have values of it: number, report, distribution."""
    metric = next(m for m in ALL_METRICS if m.key == key)
    have = [(i, t) for i, t in enumerate(report.targets) if (t.name, key) in rows]
    dists = [(i, t, Distribution(rows[t.name, key], metric.scale)) for i, t in have]
    return metric, [each for each in dists if each[2].count]


def _edges(dists: Sequence[Distribution], scale: float) -> list[float]:
    """Return the edges of the bins: equal steps of the logarithm, over at least a factor of 2."""
    # of two events in one read the gap is nearly nothing: a few of these must not stretch the axis
    low = 0.98 * max(scale, min(max(d.at_rank(1), (d.percentile(50) or 0.0) / 50) for d in dists))
    high = max(low, *(d.at_rank(d.count) for d in dists)) * 1.02
    wider = max(1.0, 2 * low / high) ** 0.5
    low, high = low / wider, high * wider
    edges: list[float] = np.geomspace(low, high, _BINS + 1).tolist()
    return edges


def _shares(counts: Counts, scale: float, edges: Sequence[float]) -> list[float]:
    """Percent of the values in each bin; what lies below the first is in it."""
    used = np.flatnonzero(counts)
    values = np.maximum(MIDPOINTS[used] * scale, edges[0])
    found, _ = np.histogram(values, edges, weights=counts[used])
    shares: list[float] = (100 * found / counts.sum()).round(4).tolist()
    return shares


# over time, from the series


class _Curve(NamedTuple):
    """What is drawn over time. head: its column in the table; look: of target number i."""

    head: str
    panel: str
    values: Callable[[Mapping[str, Any]], Sequence[float | None]]
    hover: str
    look: Callable[[int], dict[str, Any]] = line


def over_time(report: Report, phases: Sequence[Span]) -> Plot | None:
    """Throughput, TTFT and failures of every interval, phases marked; None where there is no series."""
    shown = [(i, t, t.series) for i, t in enumerate(report.targets) if t.series.get("sent")]
    if not shown:
        return None
    curves = list(_curves([series for *_, series in shown]))
    panels = list(dict.fromkeys(curve.panel for curve in curves))
    traces: list[dict[str, Any]] = []
    table: list[tuple[str, ...]] = []
    for i, target, series in shown:
        step = series["interval_s"]
        busy = [n for n, row in enumerate(zip(*map(series.get, _COUNTED), strict=True)) if any(row)]
        at = slice(busy[0], busy[-1] + 1) if busy else slice(0)
        seconds = [n * step for n in range(len(series["sent"]))[at]]
        columns = [curve.values(series)[at] for curve in curves]
        for curve, values in zip(curves, columns, strict=True):
            panel = panels.index(curve.panel)
            traces.append(
                {
                    "name": label(target.name),
                    "legendgroup": str(i),
                    "x": [round(second + step / 2, 3) for second in seconds],
                    "y": values,
                    "yaxis": f"y{panel + 1}" if panel else "y",
                    "showlegend": curve is curves[0],
                    "hovertemplate": curve.hover,
                }
                | curve.look(i)
            )
        table += [
            (clean(target.name), f"{second:g}", *map(number, row))
            for second, *row in zip(seconds, *columns, strict=True)
        ]
    ends_s = max([s["interval_s"] * len(s["sent"]) for *_, s in shown] + [p.end_s for p in phases])
    marked = ", ".join(f"{p.name} {p.start_s:.3g} to {p.end_s:.3g} s" for p in phases)
    return Plot(
        "over-time",
        "Tokens by when they arrived, requests by when they ended."
        + (" TTFT by when the request was sent: p50 thick, p99 thin." if _TTFT in panels else "")
        + (" Shaded: outside the window." if len(phases) > 1 else ""),
        f"{', '.join(panels)} over {ends_s:g} s; phases: {marked or 'not known'}.",
        {"data": traces, "layout": _panels(panels, ends_s) | _shade(phases)},
        Grid("Over time", ("target", "from second", *(curve.head for curve in curves)), tuple(table)),
        160 + 170 * len(panels),
    )


def _curves(known: Sequence[Mapping[str, Any]]) -> Iterator[_Curve]:
    tokens = any(sum(series["output_tokens"]) for series in known)
    what, key = ("output tokens/s", "output_tokens") if tokens else ("requests/s", "ok")
    yield _Curve(what, what, lambda s: [round(n / s["interval_s"], 2) for n in s[key]], "%{y:,.4g} " + what)
    if any(value is not None for series in known for value in series["ttft_p50_ms"]):
        yield _Curve("TTFT p50", _TTFT, itemgetter("ttft_p50_ms"), "TTFT p50 %{y:,.4g} ms")
        thin = partial(line, width=1)
        yield _Curve("p99", _TTFT, itemgetter("ttft_p99_ms"), "TTFT p99 %{y:,.4g} ms", thin)
    if any(sum(series["failed"]) for series in known):
        yield _Curve("failed", "failed requests", itemgetter("failed"), "%{y} failed", _bars)


def _bars(i: int) -> dict[str, Any]:
    return {"type": "bar", "marker": {"color": COLOURS[i % len(COLOURS)]}}


def _panels(names: Sequence[str], ends_s: float) -> dict[str, Any]:
    """Return a layout of panels below each other over one axis of time."""
    n = len(names)
    time = {"range": [0, ends_s], "unifiedhovertitle": {"text": "%{x:.4g} s"}, **_SPIKE}
    layout: dict[str, Any] = {
        "xaxis": axis("seconds since the start", anchor="y" if n == 1 else f"y{n}", **time),
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "barmode": "stack",
        "legend": {"y": 1.06},  # above the names of the phases
    }
    for k, name in enumerate(names):
        domain = [1 - (k + 1) / n + (0.03 if k < n - 1 else 0), 1 - k / n - (0.03 if k else 0)]
        layout[f"yaxis{k + 1}" if k else "yaxis"] = axis(name, rangemode="tozero", domain=domain)
    return layout


def _shade(phases: Sequence[Span]) -> dict[str, Any]:
    """Return shapes and words for the phases; what is not a window is shaded."""
    shapes = [
        {
            "type": "rect",
            "layer": "below",
            "yref": "paper",
            "x0": span.start_s,
            "x1": span.end_s,
            "y0": 0,
            "y1": 1,
            "fillcolor": NEUTRAL,
            "opacity": 0.18,
            "line": {"width": 0},
        }
        for span in phases
        if span.name in ("warm-up", "drain")
    ]
    words = [
        {
            "text": label(span.name),
            "x": (span.start_s + span.end_s) / 2,
            "y": 1,
            "yref": "paper",
            "yanchor": "bottom",
            "showarrow": False,
        }
        for span in phases
    ]
    return {"shapes": shapes, "annotations": words}


def _percent(p: float) -> str:
    return f"{p:.6g}"
