"""Money in reports for people: what is known, what is not, and what a figure leaves out."""

import csv
import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from loadgen.catalog.price import Price
from loadgen.report.csv import to_csv
from loadgen.report.markdown import to_markdown
from loadgen.report.said import of_money
from loadgen.report.table import print_report
from loadgen.results.model import Cost, Report

COST = Cost(
    usd=12.3456,
    usd_per_request=0.00123,
    usd_per_million_output_tokens=15.0,
    price_source="the scenario",
    usd_per_thousand_good_requests=1.25,
    usd_per_month=2069.14,
    month_requests=1_000_000,
    price=Price(input=2.0, output=15.0),
)


def costs(**changes: Any) -> Cost:
    return msgspec.structs.replace(COST, **changes)


def show(report: Report) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, width=120))
    return out.getvalue()


def row(text: str, label: str) -> list[str]:
    return next(line for line in text.splitlines() if line.strip(" |&nbsp;").startswith(label)).split()


@pytest.mark.parametrize("write", [show, to_markdown], ids=["table", "Markdown"])
def test_figures_beside_each_other(invent: Any, write: Any) -> None:
    image = costs(at_least=True, usd_per_image=0.005, usd_per_million_output_tokens=None, usd_per_month=None)
    targets = [invent.target("a", cost=COST), invent.target("b", cost=image), invent.target("c")]
    text = write(invent.report(*targets, open_loop=True))
    assert "12.35" in row(text, "cost, USD")
    cells = [cell for cell in row(text, "USD per image") if cell != "|"]
    assert cells[-5:] == ["-", "0.005", "at", "least", "-"]
    assert "2,069.14" in row(text, "USD a month")
    assert "unknown price, so no cost: c" in text


def test_what_nobody_has_is_not_shown(invent: Any) -> None:
    text = show(invent.report(invent.target("a")))
    assert "cost, USD" not in text
    assert "unknown price, so no cost: a" in text


@pytest.mark.parametrize(
    ("cost", "run", "told"),
    [
        ({}, {}, "prices: gpt-5.5: the scenario"),
        ({"requests_without_cost": 1234}, {}, "requests without a cost, as they told no usage: 1,234"),
        ({}, {"open_loop": True}, "a month: 730 h at the rate that was offered"),
        ({"support_usd_per_month": 2000.0}, {"open_loop": True}, "gpt-5.5: support is USD 2,000.00 more"),
        (
            {"price": Price(input=1.0, free_tokens=750_000)},
            {"open_loop": True},
            "gpt-5.5: 750,000 tokens are free",
        ),
        ({}, {"stopped_by": "budget", "max_usd": 5.0}, "stopped before it could cost more than USD 5.00"),
    ],
    ids=["source", "without cost", "open loop", "support", "free tokens", "budget"],
)
def test_what_a_reader_must_know(invent: Any, cost: Any, run: dict[str, Any], told: str) -> None:
    report = invent.report(invent.target(cost=costs(**cost)), **run)
    assert told in show(report)
    assert told in to_markdown(report)


@pytest.mark.parametrize(
    ("price", "open_loop", "told"),
    [
        pytest.param(Price(output=15.0), True, "a month: 730 h at the rate that was offered", id="a rate"),
        pytest.param(Price(gpu_hour=2.5), False, "a month: 730 h", id="a machine by the hour"),
        pytest.param(Price(output=15.0), False, "", id="as fast as it goes"),
    ],
)
def test_a_month_is_told_where_it_is_one_of_something(
    invent: Any, price: Price, open_loop: bool, told: str
) -> None:
    report = invent.report(invent.target(cost=costs(price=price)), open_loop=open_loop)
    assert [text for text in of_money(report) if text.startswith("a month")] == ([told] if told else [])
    assert ("USD a month" in show(report)) is bool(told)
    assert "2069.14" in to_csv(report)


def test_simulated_targets_cost_nothing_in_truth(invent: Any) -> None:
    told = "simulated targets cost what the real ones would have: nothing was paid"
    assert told in list(of_money(invent.report(invent.target(cost=COST, simulated=True))))
    assert told not in list(of_money(invent.report(invent.target(cost=COST))))


def test_columns(invent: Any) -> None:
    targets = [invent.target("a", cost=costs(at_least=True)), invent.target("b")]
    rows = {r["target"]: r for r in csv.DictReader(io.StringIO(to_csv(invent.report(*targets))))}
    assert float(rows["a"]["cost_usd"]) == 12.3456
    assert (rows["a"]["cost_at_least"], rows["a"]["cost_price_source"]) == ("true", "the scenario")
    assert (rows["b"]["cost_usd"], rows["b"]["cost_price_source"]) == ("", "unknown price")
