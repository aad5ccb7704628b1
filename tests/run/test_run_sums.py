"""Every figure of report.json again, from the lines of samples.jsonl, the plain way."""

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from loadgen.report.files import report_again
from tests.by_hand import kaplan_meier, percentile
from tests.endpoint import END, HEAD, Asked, Endpoint, content, finish, raw, refusal, silence, stream, usage
from tests.program import read_report, read_samples, reasons, run_here, target, write_scenario

NAMES = ("a", "b")
PRICE = {"input": 3.0, "output": 20.0, "cached_input": 1.0, "free_tokens": 1_000_000}
MOST = 3.6e6  # where the histograms end: an hour in ms, or as many characters a second
PERCENTILES = ("p1", "p5", "p10", "p50", "p75", "p90", "p95", "p99", "p99.9")


async def _chunks(*events: bytes) -> AsyncIterator[bytes]:
    yield HEAD + b"\r\n" + content("")
    for data in events:
        yield data


def _reasoning() -> AsyncIterator[bytes]:
    """50 tokens of which 30 were thought and not shown; 8 came from a cache."""
    details = {
        "completion_tokens_details": {"reasoning_tokens": 30},
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    return _chunks(content("def f"), content("(x):"), finish() + usage(20, 50, **details) + END)


def _answer(asked: Asked) -> AsyncIterator[bytes]:
    """Now and then each kind of trouble; else answers of all lengths."""
    n = asked.of_model
    kinds: dict[int, Callable[[], AsyncIterator[bytes]]] = {
        7: lambda: refusal(500, "out of memory"),
        11: lambda: refusal(429, f"request {n % 3} too many"),
        13: lambda: _chunks(content("cut"), usage(5, 1) + END),
        17: lambda: raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5"),
        19: _reasoning,
        23: lambda: _chunks(content("one"), finish() + usage(3, 1) + END),
        29: lambda: _chunks(content("no "), content("usage"), finish() + END),
    }
    for step, kind in kinds.items():
        if n % step == step - 1:
            return kind()
    return stream(n % 5 + 1, first_s=0.002 * (n % 4), gap_s=0.001 * (n % 3))


async def _stuck(*events: bytes) -> AsyncIterator[bytes]:
    async for data in _chunks(*events):
        yield data
    async for data in silence():
        yield data


class Server:
    """Answers as above; well inside the window it gets stuck once before and twice after first tokens."""

    def __init__(self) -> None:
        self._begin_s: float | None = None  # of the first request: what comes before it takes its time
        self._stuck = Counter[str]()

    def answer(self, asked: Asked) -> AsyncIterator[bytes]:
        stuck = [(), (content("a "),), (content("a "), content("b "))]
        if self._begin_s is None:
            self._begin_s = time.monotonic()
        if time.monotonic() > self._begin_s + 0.7 and self._stuck[asked.model] < len(stuck):
            self._stuck[asked.model] += 1
            return _stuck(*stuck[self._stuck[asked.model] - 1])
        return _answer(asked)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sums")
    load = {"concurrency": 5, "warmup": "200ms", "duration": "1200ms", "grace": "200ms"}
    with Endpoint(Server().answer) as endpoint:
        targets = [target(name, endpoint.base_url, price=PRICE) for name in NAMES]
        return run_here(folder, write_scenario(folder, *targets, load=load)).folder


@pytest.fixture(scope="module")
def run(folder: Path) -> tuple[Any, list[dict[str, Any]]]:
    return read_report(folder), read_samples(folder)


@pytest.fixture(params=NAMES)
def of_target(
    run: tuple[Any, list[dict[str, Any]]], request: pytest.FixtureRequest
) -> tuple[Any, list[dict[str, Any]]]:
    """One target's report, and its samples."""
    report, samples = run
    (mine,) = [t for t in report["targets"] if t["name"] == request.param]
    return mine, [s for s in samples if s["target"] == request.param]


def window(samples: list[dict[str, Any]], outcome: str | None = None) -> list[dict[str, Any]]:
    return [s for s in samples if s["phase"] == "measure" and outcome in (None, s["outcome"])]


def test_there_was_something_of_everything(of_target: tuple[Any, list[dict[str, Any]]]) -> None:
    outcomes = Counter(s["outcome"] for s in window(of_target[1]))
    kinds = {"ok", "http_error", "rate_limited", "truncated", "disconnected", "cancelled"}
    assert set(outcomes) == kinds
    assert outcomes["ok"] > 100
    assert outcomes["cancelled"] == 3


def test_requests_and_errors(of_target: tuple[Any, list[dict[str, Any]]]) -> None:
    report, samples = of_target
    requests = report["requests"]
    outcomes = Counter(s["outcome"] for s in window(samples))
    assert requests["outcomes"] == outcomes
    assert requests["sent"] == len(window(samples)) == sum(outcomes.values())
    assert (requests["ok"], requests["cancelled"]) == (outcomes["ok"], outcomes["cancelled"])
    assert requests["sent"] == requests["ok"] + requests["failed"] + requests["cancelled"]
    assert requests["late"] == sum(
        (s["connect_start_ns"] or s["sent_ns"]) - s["intended_ns"] > 10_000_000 for s in window(samples)
    )
    assert requests["resent"] == sum(s["attempts"] > 1 for s in samples)
    for phase in ("warmup", "measure", "drain"):
        assert requests["phases"][phase] == Counter(s["outcome"] for s in samples if s["phase"] == phase)
    failed = [s for s in samples if s["outcome"] not in ("ok", "cancelled")]
    assert report["errors"] == Counter(s["error"] for s in failed)
    assert all((s["error"] is None) == (s["outcome"] == "ok") for s in samples)


def test_tokens_and_rates(of_target: tuple[Any, list[dict[str, Any]]]) -> None:
    report, samples = of_target
    for name in ("prompt", "cached", "reasoning", "output"):
        assert report["tokens"][name] == sum(s[f"{name}_tokens"] or 0 for s in window(samples))
    sources = Counter(s["token_source"] for s in window(samples, "ok") if s["token_source"])
    assert report["tokens"]["sources"] == sources
    assert report["tokens"]["source"] == "mixed"
    assert report["window_s"] == 1.2
    ok = sum(s["window_done"] for s in samples if s["outcome"] == "ok")
    arrived = sum(s["window_output_tokens"] for s in samples)
    for name, count in {
        "offered_requests_per_s": len(window(samples)),
        "requests_per_s": ok,
        "good_requests_per_s": ok,
        "output_tokens_per_s": arrived,
    }.items():
        assert report["rates"][name] == pytest.approx(count / 1.2, rel=1e-4)


def _span(s: dict[str, Any]) -> float:
    return float(s["last_token_ns"] - s["first_token_ns"])


def _visible(s: dict[str, Any]) -> float:
    return float(s["output_tokens"] - s["hidden_reasoning_tokens"])


VALUES: dict[str, Any] = {
    "ttft_ms": lambda s: (s["first_token_ns"] - s["sent_ns"]) / 1e6,
    "ttft_from_plan_ms": lambda s: (s["first_token_ns"] - s["intended_ns"]) / 1e6,
    "ttfa_ms": lambda s: (s["first_answer_ns"] - s["sent_ns"]) / 1e6,
    "e2e_ms": lambda s: (s["done_ns"] - s["sent_ns"]) / 1e6,
    "e2e_from_plan_ms": lambda s: (s["done_ns"] - s["intended_ns"]) / 1e6,
    "send_lag_ms": lambda s: ((s["connect_start_ns"] or s["sent_ns"]) - s["intended_ns"]) / 1e6,
    "connect_ms": lambda s: s["connect_start_ns"] and (s["connected_ns"] - s["connect_start_ns"]) / 1e6,
    "longest_gap_ms": lambda s: s["longest_gap_ns"] and s["longest_gap_ns"] / 1e6,
    "tpot_ms": lambda s: _span(s) / (_visible(s) - s["first_event_tokens"]) / 1e6 if _span(s) else None,
    "output_tokens_per_s": lambda s: (
        (_visible(s) - s["first_event_tokens"]) / _span(s) * 1e9 if _span(s) else None
    ),
    "output_chars_per_s": lambda s: (
        (s["output_chars"] - s["first_event_chars"]) / _span(s) * 1e9 if _span(s) else None
    ),
    "prompt_tokens": lambda s: s["prompt_tokens"],
    "cached_tokens": lambda s: s["cached_tokens"],
    "reasoning_tokens": lambda s: s["reasoning_tokens"],
    "output_tokens": lambda s: s["output_tokens"],
    "output_chars": lambda s: s["output_chars"],
    "tokens_per_chunk": lambda s: _visible(s) / s["output_events"],
    "asked_prompt_tokens": lambda s: s["asked_prompt_tokens"],
    "asked_output_tokens": lambda s: s["asked_output_tokens"],
    "prompt_tokens_of_asked": lambda s: _ratio(s["prompt_tokens"], s["asked_prompt_tokens"]),
    "output_tokens_of_asked": lambda s: _ratio(s["output_tokens"], s["asked_output_tokens"]),
}


def _ratio(got: int | None, asked: int | None) -> float | None:
    return got / asked if got is not None and asked else None


def near(value: float) -> Any:
    """Within a histogram's resolution of 0.1 %, its unit (µs, thousandths) and five printed digits."""
    return pytest.approx(value, rel=0.0006, abs=0.00051)


@pytest.mark.parametrize("key", VALUES)
def test_metrics(of_target: tuple[Any, list[dict[str, Any]]], key: str) -> None:
    report, samples = of_target
    dist = report["metrics"][key]
    values = [min(v, MOST) for v in map(VALUES[key], window(samples, "ok")) if v is not None]
    assert dist["count"] == len(values)
    if not values:
        assert key in (
            "asked_prompt_tokens",
            "prompt_tokens_of_asked",
        )  # a file's prompts are as long as they are
        return
    assert (dist["min"], dist["max"]) == (near(min(values)), near(max(values)))
    for name in PERCENTILES:
        assert dist[name] == near(percentile(values, float(name[1:]))), name
    mean = sum(values) / len(values)
    assert dist["mean"] == near(mean)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
    assert dist["stddev"] == pytest.approx(spread, rel=0.01, abs=0.001)
    for name, interval in dist["ci95"].items():
        if interval is not None:
            assert interval[0] <= dist[name] <= interval[1]


def charged(s: dict[str, Any]) -> float | None:
    """By what the server told; of what was counted from events there is no bill."""
    if s["token_source"] != "usage":
        return None
    cached = s["cached_tokens"] or 0
    return float(3 * (s["prompt_tokens"] - cached) + cached + 20 * s["output_tokens"]) / 1e6


def test_cost(run: tuple[Any, list[dict[str, Any]]], of_target: tuple[Any, list[dict[str, Any]]]) -> None:
    report, samples = of_target
    for s in samples:
        assert s["cost_usd"] == (None if charged(s) is None else pytest.approx(charged(s)))
    paid = [s for s in samples if s["cost_usd"] is not None]
    assert {s["outcome"] for s in paid} == {"ok", "truncated"}  # failures that told their usage are charged
    mine = window(paid)
    usd, window_usd = (sum(charged(s) or 0 for s in some) for some in (paid, mine))
    tokens = sum(s["output_tokens"] for s in mine)
    each = window_usd / len(mine)
    done = Counter(s["target"] for s in run[1] if s["window_done"] and s["outcome"] == "ok")
    month = (
        730 * 3600 * min(done.values()) / 1.2
    )  # a closed loop's months are of the slowest target's traffic
    per_request = sum(s["prompt_tokens"] + s["output_tokens"] for s in mine) / len(mine)
    expected = {
        "usd": usd,
        "window_usd": window_usd,
        "usd_per_request": each,
        "usd_per_million_output_tokens": window_usd / tokens * 1e6,
        "usd_per_thousand_good_requests": 1000 * window_usd / len(window(samples, "ok")),
        "month_requests": month,
        "usd_per_month": each * month * (1 - 1_000_000 / (month * per_request)),
    }
    assert {key: report["cost"][key] for key in expected} == pytest.approx(expected, rel=1e-6)
    assert report["cost"]["requests_without_cost"] == len(samples) - len(paid) > 20
    assert (report["cost"]["before_usd"], report["cost"]["usd_per_image"]) == (None, None)
    assert report["cost"]["price_source"] == "the scenario"
    assert report["cost"]["price"].items() >= PRICE.items()


def test_a_killed_run_has_the_same_cost(run: tuple[Any, list[dict[str, Any]]], folder: Path) -> None:
    (folder / "report.json").unlink()
    report_again(folder)
    costs = ([t["cost"] for t in report["targets"]] for report in (run[0], read_report(folder)))
    assert next(costs) == next(costs)


def test_every_metric_was_checked(of_target: tuple[Any, list[dict[str, Any]]]) -> None:
    assert set(of_target[0]["metrics"]) == {*VALUES, "chunk_gap_ms"}


def test_gaps(of_target: tuple[Any, list[dict[str, Any]]]) -> None:
    """The gaps themselves are not in the samples; their number, their sum and the longest are."""
    report, samples = of_target
    ok = window(samples, "ok")
    dist = report["metrics"]["chunk_gap_ms"]
    assert dist["count"] == sum(s["output_events"] - 1 for s in ok)
    assert dist["max"] == near(max(s["longest_gap_ns"] or 0 for s in ok) / 1e6)
    assert dist["mean"] * dist["count"] == pytest.approx(sum(map(_span, ok)) / 1e6, rel=0.01)


@pytest.mark.parametrize("key", ["ttft_ms", "ttft_from_plan_ms", "ttfa_ms", "e2e_ms", "e2e_from_plan_ms"])
def test_percentiles_over_all_requests(of_target: tuple[Any, list[dict[str, Any]]], key: str) -> None:
    """A failure ranks above everything, what was cut off is censored where it stood."""
    report, samples = of_target
    cut = window(samples, "cancelled")
    came = [s for s in cut if s["first_token_ns"] and "e2e" not in key]
    start = "intended_ns" if "from_plan" in key else "sent_ns"
    waited = [(s["done_ns"] - s[start]) / 1e6 for s in cut if s not in came]
    values = [VALUES[key](s) for s in [*window(samples, "ok"), *came]]
    failed = len(window(samples)) - len(values) - len(waited)
    found = report["metrics"][key]["with_failures"]
    assert found["count"] == len(window(samples))
    for name in ("p50", "p90", "p99"):
        kind, value = kaplan_meier(values, waited, failed, float(name[1:]))
        assert found[name] == ({"above": near(value)} if kind == "above" else near(value)), name
    assert found["p99"] == {"above": near(max([*values, *waited]))}  # more than 1 % failed


def test_the_series_adds_up(of_target: tuple[Any, list[dict[str, Any]]]) -> None:
    report, samples = of_target
    series = report["series"]
    assert sum(series["sent"]) == len(samples)
    assert sum(series["ok"]) == sum(s["outcome"] == "ok" for s in samples)
    assert sum(series["failed"]) == sum(s["outcome"] not in ("ok", "cancelled") for s in samples)
    tokens = sum(s["output_tokens"] or 0 for s in samples)
    assert sum(series["output_tokens"]) == pytest.approx(tokens, abs=0.1 * len(series["sent"]))
    for i in range(len(series["sent"])):
        assert series["sent"][i] == sum(s["sent_ns"] // 10**9 == i for s in samples)


def test_of_the_whole_run(run: tuple[Any, list[dict[str, Any]]]) -> None:
    report, samples = run
    assert sorted(s["seq"] for s in samples) == list(range(1, len(samples) + 1))
    assert report["run"]["window_s"] == 1.2
    arrivals = {"planned": None, "begun": len(window(samples))}
    assert report["instrument"]["arrivals"] == arrivals
    lags = [VALUES["send_lag_ms"](s) for s in window(samples, "ok")]
    assert report["instrument"]["send_lag_ms"]["p50"] == near(percentile(lags, 50))
    assert report["instrument"]["send_lag_ms"]["count"] == len(lags)
    words = [r.partition(": ")[2] for r in reasons(report)]
    assert sum("requests failed, most often: HTTP 500" in w for w in words) == len(NAMES)
    assert sum(w.startswith("tokens were counted in different ways") for w in words) == len(NAMES)
    assert len(words) == 2 * len(NAMES)
