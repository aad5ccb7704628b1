import re
from typing import Any

import msgspec
import pytest

from loadgen.answers.compared import Compared
from loadgen.answers.gate import GateResult, parse_gate
from loadgen.report.markdown import comparison, to_markdown
from loadgen.results.model import Above, Comparison, Dist, Report, Verdict, WithFailures


def cells(line: str) -> list[str]:
    """The cells of a table's row; an escaped bar ends none."""
    return [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]


def row(text: str, first: str) -> list[str]:
    return next(
        found for line in text.splitlines() if line.startswith("|") and (found := cells(line))[0] == first
    )


def two(invent: Any, **changes: Any) -> Report:
    found = WithFailures(count=112, p50=210.0, p90=430.0, p99=Above(1200.0))
    bad = invent.target("ours", 100)
    metrics = bad.metrics | {"ttft_ms": msgspec.structs.replace(bad.metrics["ttft_ms"], with_failures=found)}
    bad = msgspec.structs.replace(
        bad,
        metrics=metrics,
        model="qwen3-coder",
        insecure=True,
        requests=invent.requests(100, {"timeout": 10, "http_error": 2}),
        errors={"no token within 30 s": 10, "HTTP 503: busy": 2},
    )
    report: Report = invent.report(invent.target(simulated=True), bad, **changes)
    return report


def test_order_is_verdict_alerts_figures_errors_circumstances(invent: Any) -> None:
    text = to_markdown(two(invent, verdict=Verdict("suspect", ("the generator was 93 % busy",))))
    places = [
        text.index(what)
        for what in (
            "# code_completion: SUSPECT",
            "- the generator was 93 % busy",
            "> **SIMULATED** gpt-5.5: the built-in simulator answered",
            "> **INSECURE** ours: ",
            "| requests ok |",
            "| TTFT |",
            "## Errors",
            "## Load",
            "## Instrument",
            "## Run",
        )
    ]
    assert places == sorted(places)


def test_figures_are_those_of_the_report(invent: Any) -> None:
    text = to_markdown(two(invent)).replace("\N{EN DASH}", "-")
    assert cells(text.splitlines()[[c[:1] for c in text.splitlines()].index("|")])[2:] == [
        "**gpt-5.5**<br>SIMULATED",
        "**ours**<br>qwen3-coder",
    ]
    assert row(text, "requests ok") == ["requests ok", "", "1,000", "100"]
    assert row(text, "failed") == ["failed", "", "0", "12 (10.7 %)"]
    assert row(text, "&nbsp;&nbsp;timeout") == ["&nbsp;&nbsp;timeout", "", "0", "10"]
    assert row(text, "TTFT") == ["TTFT", "p50", "200 (190-210)", "200 (190-210)"]
    assert row(text, "&nbsp;&nbsp;with failures") == ["&nbsp;&nbsp;with failures", "p50", "200", "210"]
    assert ["", "p99", "800", "&gt; 1,200"] in [cells(n) for n in text.splitlines() if n.startswith("|")]
    assert row(text, "ours") == ["ours", "10", "`no token within 30 s`"]
    assert row(text, "event loop late")[1] == "p50 0.100 ms, p99 0.400 ms, at most 0.600 ms"
    assert row(text, "build") == ["build", "abc123"]
    assert "concurrency 32, ramp 2.5 s, duration 20 s" in text


def test_every_table_has_rows_of_one_length(invent: Any) -> None:
    text = to_markdown(two(invent, labels={"a|b": "c|d\n| e"}, host={"x": None}))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(cells(line)) for line in table.splitlines()}) == 1


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a|b", r"a\|b"),
        ("a\nb\r\n| c", r"a b \| c"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a & b", "a &amp; b"),
        ("![x](http://e.com/x.png)", r"!\[x\](http://e.com/x.png)"),
        ("*b* ~s~ `c`", r"\*b\* \~s\~ \`c\`"),
        ("back\\slash", r"back\\slash"),
        ("esc\x1b[31m", r"esc \[31m"),
    ],
)
def test_names_read_as_they_are(invent: Any, name: str, written: str) -> None:
    text = to_markdown(invent.report(invent.target(name)))
    assert f"**{written}**" in text
    outside_code = re.sub(r"`[^`\n]+`", "", text.replace(r"\`", ""))
    assert not re.search(r"<(?!br>)|[\x00-\x09\x0b-\x1f]", outside_code)


def test_names_in_a_comparison_read_as_they_are(invent: Any) -> None:
    told = Comparison("ttft_ms", "p50", "a|b", "<i>c</i> [x](http://e.com)", 200.0, 180.0, "better")
    text = to_markdown(msgspec.structs.replace(two(invent), comparison=(told,)))
    assert r"## &lt;i&gt;c&lt;/i&gt; \[x\](http://e.com) against a\|b" in text
    heads = next(cells(line) for line in text.splitlines() if line.endswith("| change | verdict |"))
    assert heads == ["", "", r"a\|b", r"&lt;i&gt;c&lt;/i&gt; \[x\](http://e.com)", "change", "verdict"]
    assert "<i>" not in text


def test_gates_read_as_they_are_and_more_can_follow() -> None:
    gate = parse_gate("ttft.p50 worse by 5%")
    told = GateResult(gate, "a*b", "<i>c</i>", failed=False, told=True, words="[x](http://e.com)")
    assert comparison(Compared(gates=(told,))) == (
        "- **passed**: `ttft.p50 worse by 5%` "
        r"(&lt;i&gt;c&lt;/i&gt; against a\*b): \[x\](http://e.com)"
        "\n\n"
    )


@pytest.mark.parametrize("error", ["a | b", "`code` @someone #1", "<b>x</b>\n\n# head", "```\nfence"])
def test_errors_stay_inside_their_cell_as_code(invent: Any, error: str) -> None:
    text = to_markdown(invent.report(msgspec.structs.replace(invent.target("t"), errors={error: 3})))
    found = row(text, "t")
    assert found[:2] == ["t", "3"]
    assert re.fullmatch(r"`[^`\n]+`", found[2])


def test_unknown_instrument_is_dashes_not_zeros(invent: Any) -> None:
    report = invent.report(invent.target())
    unknown = msgspec.structs.replace(
        report.instrument,
        loop_lag_ms=Dist(count=0),
        cpu_share=None,
        cpu_share_max=None,
        gc_pause_ms_max=None,
        connections_max=None,
        rss_mb_max=None,
    )
    text = to_markdown(msgspec.structs.replace(report, instrument=unknown))
    for name in (
        "event loop late",
        "CPU",
        "CPU, worst second",
        "waited for its core",
        "longest pause",
        "connections at once",
        "memory",
    ):
        assert row(text, name) == [name, "-"]


def test_run_without_errors_has_no_errors_section(invent: Any) -> None:
    text = to_markdown(invent.report(invent.target()))
    assert "## Errors" not in text
    assert text.endswith("|\n")
    assert "\n\n\n" not in text
