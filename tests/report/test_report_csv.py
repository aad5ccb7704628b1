import csv
import io
from typing import Any

import msgspec
import pytest

from loadgen.report.csv import HEADER, to_csv
from loadgen.results.model import Above, Report, WithFailures


def rows(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(report), newline="")))


def test_header_never_changes() -> None:
    # scripts read these columns: add at the end, rename none
    assert ",".join(HEADER) == (
        "scenario,run,started_at,verdict,simulated,target,model,metric,count,mean,stddev,min,max,"
        "p1,p5,p10,p50,p75,p90,p95,p99,p99.9,p50_low,p50_high,p90_low,p90_high,p99_low,p99_high,"
        "with_failures_count,with_failures_p50,with_failures_p90,with_failures_p99,"
        "cost_usd,cost_usd_per_request,cost_usd_per_million_output_tokens,cost_usd_per_month,cost_at_least,"
        "cost_price_source"
    )


def test_one_row_a_target_and_metric(invent: Any) -> None:
    report = invent.report(invent.target("a"), invent.target("b", simulated=True))
    found = rows(report)
    assert [(r["target"], r["metric"]) for r in found] == [
        (t.name, m) for t in report.targets for m in t.metrics
    ]
    assert {(r["target"], r["simulated"]) for r in found} == {("a", "false"), ("b", "true")}


def test_figures_are_written_unrounded(invent: Any) -> None:
    dist = invent.dist(211.37, 80, bounded=False)
    ttft = msgspec.structs.replace(dist, with_failures=WithFailures(92, 220.25, Above(1200.5), Above(1200.5)))
    target = msgspec.structs.replace(invent.target(), metrics={"ttft_ms": ttft})
    (row,) = rows(invent.report(target))
    assert row["count"] == "80"
    assert float(row["p50"]) == 211.37
    assert float(row["p99.9"]) == ttft.p999
    assert (float(row["p50_low"]), float(row["p50_high"])) == ttft.ci95["p50"]
    assert (row["p99_low"], row["p99_high"]) == ("", "")
    assert [row[f"with_failures_{n}"] for n in ("count", "p50", "p90", "p99")] == [
        "92",
        "220.25",
        ">1200.5",
        ">1200.5",
    ]


def test_metric_without_values_has_empty_cells(invent: Any) -> None:
    row = rows(invent.report(invent.target(ok=0)))[0]
    assert row["count"] == "0"
    assert {row[name] for name in HEADER[9:-1]} == {""}
    assert row["cost_price_source"] == "unknown price"


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ('=HYPERLINK("http://e.com")', '\'=HYPERLINK("http://e.com")'),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'=1"),
        ("\r\n=1", "'=1"),
        ("a,b", "a,b"),
        ('say "x"', 'say "x"'),
        ("two\nlines", "two lines"),
        ("模型", "模型"),
    ],
)
def test_text_is_safe_for_spreadsheets(invent: Any, name: str, cell: str) -> None:
    report = invent.report(msgspec.structs.replace(invent.target(name), model=name), scenario=name)
    for row in rows(report):
        assert (row["target"], row["model"], row["scenario"]) == (cell, cell, cell)
