"""The plots: their points are the run's own figures, and single requests are picked in bounded memory."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from loadgen.measure.histogram import BUCKETS, Distribution, indexes
from loadgen.measure.recorder import LevelWindow
from loadgen.report.html import to_html
from loadgen.report.plots import Plot, Span, distribution, label, over_time, scale_of, spectrum
from loadgen.report.requests import Request, by_prompt_length, pick, timeline
from loadgen.results.model import Report
from loadgen.results.read import open_run, read_lines, read_state
from loadgen.results.summary import Window

MS = 1_000_000


def counts(values_us: list[int]) -> Any:
    row = np.zeros(BUCKETS, np.int64)
    np.add.at(row, indexes(np.array(values_us, np.int64)), 1)
    return row


@pytest.fixture
def waits() -> dict[tuple[str, str], Any]:
    """TTFT of two targets, in µs; the second one's are twice as long."""
    values = [int(v) for v in np.random.default_rng(5).lognormal(12, 0.4, 3_000)]
    return {("a", "ttft_ms"): counts(values), ("b", "ttft_ms"): counts([2 * v for v in values])}


@pytest.fixture
def report(invent: Any) -> Report:
    made: Report = invent.report(invent.target("a"), invent.target("b"))
    return made


def test_the_spectrum_holds_the_percentiles_of_the_histogram(report: Report, waits: Any) -> None:
    plot = spectrum(report, waits, "ttft_ms", "TTFT")
    assert plot is not None
    line = plot.figure["data"][0]
    known = Distribution(waits["a", "ttft_ms"], 1e-3)
    for x, y in zip(line["x"], line["y"], strict=True):
        assert y == known.percentile(100 - 100 / x)
    assert line["x"][-1] <= known.count < 1.1 * line["x"][-1]
    assert line["y"] == sorted(line["y"])
    (p50,) = [r for r in plot.table.rows if r[0] == "p50"]
    assert p50[1] == f"{known.percentile(50):,.0f}"


def test_intervals_stand_where_the_report_has_them(report: Report, waits: Any) -> None:
    plot = spectrum(report, waits, "ttft_ms", "TTFT")
    assert plot is not None
    marks = plot.figure["data"][1]
    dist = report.targets[0].metrics["ttft_ms"]
    assert marks["x"] == pytest.approx([2, 10, 100])
    assert marks["y"] == [dist.p50, dist.p90, dist.p99]
    for y, plus, minus, bounds in zip(
        marks["y"],
        marks["error_y"]["array"],
        marks["error_y"]["arrayminus"],
        dist.ci95.values(),
        strict=True,
    ):
        assert bounds == pytest.approx((y - minus, y + plus))


def test_a_distribution_has_all_of_it_once(report: Report, waits: Any) -> None:
    plot = distribution(report, waits, "ttft_ms", "TTFT", "requests")
    assert plot is not None
    for trace in plot.figure["data"]:
        assert sum(trace["y"]) == pytest.approx(100, abs=0.01)
        assert len(trace["x"]) == len(trace["y"])
        assert trace["x"] == sorted(trace["x"])


def test_a_logarithmic_axis_writes_its_values_whole(report: Report, waits: Any) -> None:
    plot = distribution(report, waits, "ttft_ms", "TTFT", "requests")
    assert plot is not None
    for axis in (plot.figure["layout"]["xaxis"], scale_of([1, 1, 1, 100], "ms")):
        assert (axis["type"], axis["tickformat"]) == ("log", ",~r")
    assert "tickformat" not in scale_of([1, 2, 3], "ms")


@pytest.mark.parametrize("values", [[0], [5, 5, 5], [1, 3_600_000_000], [0] * 99 + [40_000]])
def test_any_values_can_be_drawn(report: Report, values: list[int]) -> None:
    rows = {("a", "ttft_ms"): counts(values)}
    for plot in (
        spectrum(report, rows, "ttft_ms", "TTFT"),
        distribution(report, rows, "ttft_ms", "TTFT", "requests"),
    ):
        assert plot is not None
        assert len(plot.figure["data"][0]["x"]) == len(plot.figure["data"][0]["y"]) > 0


def test_without_values_there_is_no_plot(report: Report) -> None:
    for rows in ({}, {("a", "ttft_ms"): counts([])}, {("x", "ttft_ms"): counts([1])}):
        assert spectrum(report, rows, "ttft_ms", "TTFT") is None
        assert distribution(report, rows, "ttft_ms", "TTFT", "requests") is None
    assert over_time(report, []) is None
    assert timeline(pick([], ["a"])) is None
    assert by_prompt_length(pick([], ["a"])) is None


def test_over_time_shows_rates_phases_and_failures(invent: Any) -> None:
    series = {
        "interval_s": 2.0,
        "sent": [4, 8, 0],
        "ok": [0, 6, 4],
        "failed": [0, 2, 0],
        "output_tokens": [0.0, 60.0, 40.0],
        "ttft_p50_ms": [100.0, 120.0, None],
        "ttft_p99_ms": [200.0, 220.0, None],
    }
    phases = [Span("warm-up", 0, 2), Span("window", 2, 4), Span("drain", 4, 6)]
    plot = over_time(invent.report(invent.target("a", series=series)), phases)
    assert plot is not None
    tokens, p50, p99, failed = plot.figure["data"]
    assert (tokens["x"], tokens["y"]) == ([1, 3, 5], [0, 30, 20])
    assert (p50["y"], p99["y"]) == ([100, 120, None], [200, 220, None])
    assert failed["y"] == [0, 2, 0]
    shaded = [(shape["x0"], shape["x1"]) for shape in plot.figure["layout"]["shapes"]]
    assert shaded == [(0, 2), (4, 6)]
    assert [note["text"] for note in plot.figure["layout"]["annotations"]] == ["warm-up", "window", "drain"]
    assert plot.table.rows[1] == ("a", "2", "30.0", "120", "220", "2.00")


# single requests


def request(seq: int, took_ms: float, **changes: Any) -> Request:
    at = seq * 10 * MS
    instants = {"sent_ns": at + MS, "first_token_ns": at + 3 * MS, "last_token_ns": at + int(took_ms * MS)}
    made: dict[str, Any] = {"seq": seq, "target": "a", "phase": "measure", "outcome": "ok", "intended_ns": at}
    return Request(**made | instants | {"done_ns": at + int(took_ms * MS)} | changes)


def test_the_slowest_are_all_picked_and_memory_is_bounded() -> None:
    times = [5 + i / 1_000 for i in range(20_000)]
    random.Random(3).shuffle(times)
    held = [0]

    def run() -> Iterator[Request]:
        for seq, took in enumerate(times):
            yield request(seq, took)
            held[0] += 1

    picked = pick(run(), ["a", "b"])
    assert held[0] == picked["a"].seen == 20_000
    slowest = [r.took_ms for r in picked["a"].slowest]
    assert slowest == pytest.approx(sorted(times, reverse=True)[: len(slowest)])
    assert 50 < len(slowest) < 100
    assert 1_000 < len(picked["a"].random) < 1_500
    assert picked["b"].seen == 0
    middle = float(np.median([r.took_ms for r in picked["a"].random]))
    assert abs(middle - float(np.median(times))) < 2, "drawn from all of them alike"


def test_only_the_window_is_picked_and_levels_are_apart() -> None:
    rows = [request(0, 9, phase="warmup"), request(1, 9, phase="drain"), request(2, 9, level="5/s")]
    picked = pick(rows, ["a", "a @ 5/s"])
    assert [(name, p.seen) for name, p in picked.items()] == [("a", 0), ("a @ 5/s", 1)]


PARTS = ("not yet sent", "connect", "wait for output", "stream")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, (1, 0, 2, 5)),
        ({"connect_start_ns": MS // 2, "connected_ns": MS}, (0.5, 0.5, 2, 5)),
        ({"first_token_ns": None, "last_token_ns": None, "outcome": "timeout"}, (1, 0, 7, 0)),
        (
            {
                "sent_ns": None,
                "first_token_ns": None,
                "last_token_ns": None,
                "connect_start_ns": MS,
                "outcome": "connect_error",
            },
            (1, 7, 0, 0),
        ),
    ],
    ids=["connection there", "connected first", "no token", "no connection"],
)
def test_the_parts_of_a_request_add_up(changes: dict[str, Any], parts: tuple[float, ...]) -> None:
    plot = timeline(pick([request(0, 8, **changes)], ["a"]))
    assert plot is not None
    drawn = {trace["name"]: trace["x"][0] for trace in plot.figure["data"] if trace.get("type") == "bar"}
    assert tuple(drawn.get(name, 0) for name in PARTS) == pytest.approx(parts)
    failed = [trace for trace in plot.figure["data"] if trace["name"] == "failed or cut off"]
    assert len(failed) == (changes.get("outcome", "ok") != "ok")


def test_the_slowest_is_on_top_and_every_request_once(invent: Any) -> None:
    rows = [request(seq, 10 + seq % 97, target="ab"[seq % 2]) for seq in range(600)]
    plot = timeline(pick(rows, ["a", "b"]))
    assert plot is not None
    took = [float(cells[4].replace(",", "")) for cells in plot.table.rows]
    assert took == sorted(took, reverse=True)
    assert len({cells[1] for cells in plot.table.rows}) == len(plot.table.rows) == 240
    assert {cells[0] for cells in plot.table.rows} == {"a", "b"}
    assert plot.figure["layout"]["yaxis"]["range"] == [240.5, 0.5]


def test_prompt_lengths_are_the_servers_else_those_asked_for() -> None:
    rows = [
        request(0, 9, prompt_tokens=100, asked_prompt_tokens=90),
        request(1, 9, asked_prompt_tokens=300),
        request(2, 9),
        request(3, 9, prompt_tokens=5, outcome="timeout"),
    ]
    plot = by_prompt_length(pick(rows, ["a"]))
    assert plot is not None
    (trace,) = plot.figure["data"]
    assert sorted(zip(trace["x"], trace["y"], strict=True)) == [(100, 2.0), (300, 2.0)]
    assert plot.table.rows == (
        ("a", "64 to 127", "1", "2.00", "2.00"),
        ("a", "256 to 511", "1", "2.00", "2.00"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("a & b", "a &amp; b"),
        ("$x$", "&#36;x&#36;"),
        ("a\x1bb\nc", "a b c"),
    ],
)
def test_plotly_gets_no_markup(text: str, said: str) -> None:
    assert label(text) == said


@pytest.mark.parametrize(
    ("values", "log"), [([1, 2, 29], False), ([1, 1, 31], True), ([0, 0], False), ([], False)]
)
def test_an_axis_is_logarithmic_only_where_it_must(values: list[float], log: bool) -> None:
    axis = scale_of(values, "TTFT, ms")
    assert (axis.get("type") == "log") == log
    assert axis["title"]["text"].endswith("log scale") == log


def test_the_rows_of_a_real_run_are_read(evil_run: Path) -> None:
    read = list(read_lines(evil_run / "samples.jsonl", Request))
    report = read_state(evil_run / "run.json")
    assert {r.whose for r in read} == {t.name for t in report.targets}
    plots: list[Plot | None] = [timeline(pick(read, [t.name for t in report.targets]))]
    assert plots[0] is not None
    assert len(plots[0].table.rows) > 100
    assert len({len(cells) for cells in (plots[0].table.heads, *plots[0].table.rows)}) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["warm-up", "window", "drain"]),
        ({"window": Window(0, None)}, ["window"]),
        (
            {"levels": (LevelWindow("5/s", MS, 2 * MS), LevelWindow("9/s", 3 * MS, 4 * MS))},
            ["warm-up", "5/s", "warm-up", "9/s", "drain"],
        ),
    ],
    ids=["one level", "from the start, ended by a count", "two levels"],
)
def test_phases_are_those_of_the_run(
    evil_run: Path, tmp_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    folder = Path(shutil.copytree(evil_run, tmp_path / "run"))
    state = msgspec.structs.replace(read_state(folder / "run.json"), **changes)
    (folder / "run.json").write_bytes(msgspec.json.encode(state))
    page = to_html(open_run(folder).report, folder)
    _, _, rest = page.partition('id="drawn">')
    drawn = msgspec.json.decode(rest[: rest.index("</script>")])
    found = [note["text"] for note in drawn["over-time"]["layout"]["annotations"]]
    assert [w for w in found if w != "drain"] == [w for w in words if w != "drain"]
