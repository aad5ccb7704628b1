import io
import re
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from loadgen.report.figures import describe_load
from loadgen.report.table import print_report
from loadgen.results.model import Above, Report, Verdict, WithFailures


def show(report: Report, width: int = 80, **options: Any) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, width=width, **options))
    return out.getvalue()


def line_of(text: str, start: str) -> str:
    """The first line that begins with `start`, blanks folded."""
    return next(row for row in folded(text) if row.startswith(start))


def folded(text: str) -> list[str]:
    """Lines with their blanks folded, and the dash of intervals as it is typed."""
    return [" ".join(line.split()).replace("\N{EN DASH}", "-") for line in text.splitlines()]


def failing(invent: Any, name: str = "ours") -> Any:
    """A target of which 12 of 112 requests failed: its p99 lies among the failures."""
    found = WithFailures(count=112, p50=210.0, p90=430.0, p99=Above(1200.0))
    target = invent.target(name, 100)
    metrics = target.metrics | {
        "ttft_ms": msgspec.structs.replace(target.metrics["ttft_ms"], with_failures=found)
    }
    return msgspec.structs.replace(
        target,
        metrics=metrics,
        requests=invent.requests(100, {"timeout": 10, "http_error": 2, "cancelled": 3}),
        errors={"no token within 30 s": 10, "HTTP 503: busy": 2},
    )


@pytest.mark.parametrize("state", ["valid", "suspect", "invalid"])
def test_verdict_comes_first_with_each_reason_on_a_line(invent: Any, state: str) -> None:
    reasons = ("the generator was 93 % busy: lower the load", "ours: none of 9 requests succeeded")
    text = show(invent.report(invent.target(), verdict=Verdict(state, reasons)))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines[0].split() == [state.upper(), "code_completion", "20261121T031500Z-3f2a9c"]
    assert lines[1:3] == [f"- {reason}" for reason in reasons]


UP_TO = "these are the figures up to then"


@pytest.mark.parametrize(
    ("changes", "run", "told"),
    [
        ({"simulated": True}, {}, "SIMULATED the built-in simulator answered, not a model"),
        ({"insecure": True}, {}, "INSECURE gpt-5.5: the server's certificate was not checked"),
        (
            {},
            {"interrupted": True, "window_s": 8.0385, "load": {"rate": "8/s", "duration": "15s"}},
            f"INTERRUPTED the run was stopped early; {UP_TO}: a window of 8.04 s instead of 15s",
        ),
        # in the drain
        (
            {},
            {"interrupted": True, "window_s": 15.0, "load": {"duration": "15s"}},
            f"INTERRUPTED the run was stopped early; {UP_TO}",
        ),
        (
            {},
            {"complete": False, "window_s": 8.0, "load": {"requests": 9}},
            f"INCOMPLETE the run was killed; {UP_TO}: a window of 8.00 s",
        ),
        ({}, {"complete": False, "load": {"levels": [8, 16]}}, f"INCOMPLETE the run was killed; {UP_TO}"),
    ],
    ids=["simulated", "insecure", "interrupted", "in the drain", "killed", "levels"],
)
def test_what_must_be_known_stands_above_the_figures(
    invent: Any, changes: dict[str, Any], run: dict[str, Any], told: str
) -> None:
    text = show(invent.report(invent.target(**changes), **run), 120)
    word, _, _ = told.partition(" ")
    assert line_of(text, word) == told
    assert text.index(word) < text.index("requests ok")


@pytest.mark.parametrize(
    ("ok", "of"),
    [(66, ", of the whole window 17 of 83 (20.5 %)"), (0, "")],
    ids=["in the window", "in the warm-up"],
)
def test_a_run_that_errors_stopped_says_by_how_many(invent: Any, ok: int, of: str) -> None:
    requests = invent.requests(ok, {"timeout": 17, "cancelled": 5} if ok else {})
    load = {"duration": "15s", "stop_at_errors": {"share": 0.2, "over": "4s"}}
    report = invent.report(invent.target(requests=requests), stopped_by="errors", window_s=8.04, load=load)
    told = f"more than 20 % of what ended within 4s failed{of}; {UP_TO}: a window of 8.04 s instead of 15s"
    assert line_of(show(report, 200), "STOPPED") == f"STOPPED {told}"


def test_only_some_targets_simulated_are_named_and_marked(invent: Any) -> None:
    text = show(invent.report(invent.target("a", simulated=True), invent.target("b")))
    assert "SIMULATED  a: the built-in simulator answered" in text
    assert text.count("SIMULATED") == 2


def test_one_target_has_its_percentiles_side_by_side(invent: Any) -> None:
    text = show(invent.report(invent.target()))
    assert line_of(text, "times in ms") == "times in ms p50 p90 p99"
    assert line_of(text, "TTFT") == "TTFT 200 (190-210) 400 (380-420) 800 (760-840)"
    assert line_of(text, "TPOT") == "TPOT 14.0 (13.3-14.7) 28.0 (26.6-29.4) 56.0 (53.2-58.8)"
    assert line_of(text, "decode tokens/s") == "decode tokens/s 70.0 (66.5-73.5) 49.0 p10 35.0 p1"
    assert line_of(text, "requests ok") == "requests ok 1,000"
    assert line_of(text, "output tokens/s") == "output tokens/s 3,000"


def test_wide_terminal_shows_more(invent: Any) -> None:
    report = invent.report(invent.target())
    assert line_of(show(report, 120), "times in ms") == "times in ms p50 p90 p99 mean p99.9 max"
    assert line_of(show(report, 120), "TTFT").endswith("800 (760-840) 240 1,000 1,200")


def test_targets_stand_side_by_side(invent: Any) -> None:
    text = show(invent.report(invent.target("gpt-5.5"), failing(invent)))
    assert line_of(text, "gpt-5.5") == "gpt-5.5 ours"
    assert line_of(text, "requests ok") == "requests ok 1,000 100"
    assert line_of(text, "failed") == "failed 0 12 (10.7 %)"
    assert line_of(text, "http_error") == "http_error 0 2"
    assert line_of(text, "timeout") == "timeout 0 10"
    assert line_of(text, "cut off") == "cut off 0 3"
    assert line_of(text, "TTFT p50") == "TTFT p50 200 (190-210) 200 (190-210)"
    assert line_of(text, "with failures") == "with failures p50 200 210"
    rows = folded(text)
    assert rows[rows.index("with failures p50 200 210") + 2] == "p99 800 > 1,200"
    assert line_of(text, "ours: 10 x") == "ours: 10 x no token within 30 s"
    assert "a failure ranks above every value" in " ".join(text.split())


def test_failures_change_nothing_where_there_are_none(invent: Any) -> None:
    text = show(invent.report(invent.target(), invent.target("b")))
    assert "with failures" not in text.lower()
    assert line_of(text, "failed") == "failed 0 0"


@pytest.mark.parametrize("count", [1, 2, 5, 12])
@pytest.mark.parametrize("width", [80, 120, 200])
def test_nothing_is_wider_than_the_terminal_or_cut(invent: Any, count: int, width: int) -> None:
    names = ["gpt-5.5", "模型-通义千问-编程", "a-name-that-is-longer-than-any-column/and-goes-on", "é", "ß"]
    targets = [failing(invent, names[i % 5] + str(i)) for i in range(count)]
    text = show(invent.report(*targets), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    assert len(re.findall(r"requests ok", text)) == (1 if count <= 2 else -(-count // ((width - 20) // 26)))
    every = "".join(text.split())
    for target in targets:
        assert target.name[:12] in every


@pytest.mark.parametrize("middle", [0.0004, 0.5, 3_599_999.0])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_tiny_and_huge_values_are_shown_whole(invent: Any, middle: float, width: int) -> None:
    target = invent.target()
    metrics = {key: invent.dist(middle) for key in target.metrics}
    text = show(invent.report(msgspec.structs.replace(target, metrics=metrics)), width)
    assert "…" not in text
    assert {0.0004: "0.000", 0.5: "0.500", 3_599_999.0: "3,599,999"}[middle] in text


def test_no_success_gives_dashes_not_zeros(invent: Any) -> None:
    requests = invent.requests(0, {"http_error": 9})
    nothing = invent.target("ours", 0, requests=requests, errors={"HTTP 503": 9})
    text = show(invent.report(nothing, verdict=Verdict("invalid", ("ours: none of 9 requests succeeded",))))
    assert line_of(text, "TTFT") == "TTFT - - -"
    assert line_of(text, "failed") == "failed 9 (100.0 %)"
    assert "TPOT " not in text.split("In brackets")[0]


def test_percentile_without_interval_has_a_footnote(invent: Any) -> None:
    target = invent.target(ok=80)
    metrics = target.metrics | {"ttft_ms": invent.dist(200, 80, bounded=False)}
    text = show(invent.report(msgspec.structs.replace(target, metrics=metrics)))
    assert line_of(text, "TTFT").endswith("800 *")
    assert "* too few requests for a 95 % interval: p99 of 80 is the maximum" in text


@pytest.mark.parametrize(
    ("source", "sources", "told"),
    [
        ("usage", {"usage": 9}, None),
        (
            "events",
            {"events": 9},
            "the server reports no usage; every piece of an answer counts as one token",
        ),
        ("mixed", {"events": 2, "usage": 7}, "different ways: 2 requests by events, 7 requests by usage"),
    ],
)
def test_token_source_is_told_unless_it_is_usage(
    invent: Any, source: str, sources: dict[str, int], told: str | None
) -> None:
    target = invent.target()
    tokens = msgspec.structs.replace(target.tokens, source=source, sources=sources)
    text = " ".join(show(invent.report(msgspec.structs.replace(target, tokens=tokens))).split())
    assert ("gpt-5.5: " in text) == (told is not None)
    assert told is None or told in text


def test_texts_from_outside_can_neither_style_nor_break_lines(invent: Any) -> None:
    evil = "[bold]x[/bold] \x1b[31m\x07 a\nb\u202e"
    target = msgspec.structs.replace(failing(invent, evil), errors={evil: 3}, model=evil + "m")
    text = show(invent.report(target, verdict=Verdict("suspect", (evil,)), scenario=evil))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", text)
    assert text.count("[bold]x[/bold]") >= 4


def test_most_frequent_errors_are_shown_and_the_rest_counted(invent: Any) -> None:
    errors = {f"kind {i}": 100 - i for i in range(10)}
    text = show(invent.report(msgspec.structs.replace(failing(invent), errors=errors)))
    assert re.findall(r"(\d+) x (kind \d)", text) == [("100", "kind 0"), ("99", "kind 1"), ("98", "kind 2")]
    assert f"{sum(errors.values()) - 297} for other reasons, see report.md" in text
    assert f"{sum(errors.values())} failed in the whole run, warm-up included; of the window 12" in text


@pytest.mark.parametrize(
    ("options", "coloured"),
    [
        ({"force_terminal": True}, True),
        ({"force_terminal": False}, False),
        ({"force_terminal": True, "no_color": True}, False),
    ],
    ids=["terminal", "pipe", "NO_COLOR"],
)
def test_colour_only_on_a_terminal(
    invent: Any, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool], coloured: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    text = show(invent.report(failing(invent)), **options)
    assert bool(re.search(r"\x1b\[[0-9;]*(3|4)[0-7]m", text)) == coloured


def test_lines_end_without_blanks_that_fill_the_width(invent: Any) -> None:
    assert all(
        len(line) - len(line.rstrip()) < 40 for line in show(invent.report(invent.target()), 200).split("\n")
    )


@pytest.mark.parametrize(
    ("load", "text"),
    [
        (
            {"concurrency": 1000, "ramp_s": 2.5, "warmup_s": 0.0, "requests": None},
            "concurrency 1,000, ramp 2.5 s",
        ),
        ({"max_in_flight": 7, "requests": 5_000_000}, "max in flight 7, over cap delay, requests 5,000,000"),
        ({"max_in_flight": 7, "over_cap": "drop"}, "max in flight 7, over cap drop"),
        ({"arrivals": "poisson", "grace_s": 0.25}, "arrivals poisson, grace 0.25 s"),
        ({}, ""),
    ],
)
def test_load_in_words(load: dict[str, Any], text: str) -> None:
    assert describe_load(load) == text
