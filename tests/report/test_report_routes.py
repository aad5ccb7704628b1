"""What every report says of a routed mix, and `check` of its routes."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadgen.measure.routes import Routing
from loadgen.measure.sample import Sample
from loadgen.plan.plan import build
from loadgen.report.csv import to_csv
from loadgen.report.markdown import to_markdown
from loadgen.report.preview import preview
from loadgen.report.table import print_report
from loadgen.results.model import RoutesReport
from loadgen.results.routes import route_facts, routes_report
from loadgen.scenario.lengths import Tokens
from loadgen.scenario.load import load
from loadgen.scenario.model import Route
from loadgen.workload.source import decide_salt, open_prompts

ROUTES = (
    Route(to="large", risk=("high",)),
    Route(to="small", task=("triage", "summarize")),
    Route(to="small", over=Tokens(180_000)),
    Route(to="large"),
)
FACTS = route_facts(ROUTES)


def routing(*taken: tuple[int, str | None, float | None]) -> Routing:
    """Of requests, each by its rule, risk and cost."""
    found = Routing()
    for i, (rule, risk, usd) in enumerate(taken):
        add(found, session=i, rule=rule, risk=risk, cost_usd=usd)
    return found


def add(found: Routing, **changes: Any) -> None:
    facts: dict[str, Any] = {
        "seq": 0,
        "target": "routed",
        "task": "t",
        "turn": 0,
        "phase": "measure",
        "worker": 0,
        "outcome": "ok",
        "intended_ns": 0,
        "done_ns": 1,
    }
    rule = changes["rule"]
    found.add(Sample(**facts | {"route": FACTS[rule].to} | changes), rule)


MIX = routing(
    *[(1, None, 0.001)] * 6,
    *[(2, "low", 0.002)] * 2,
    (0, "high", 1.5),
    (0, "high", None),
    *[(3, None, None)] * 2,
)


def told(found: Routing) -> RoutesReport:
    report = routes_report(FACTS, found)
    assert report is not None
    return report


def test_shares_of_targets_routes_and_risks() -> None:
    report = told(MIX)
    assert [(r.requests, r.share, r.usd) for r in report.routes] == [
        (2, 0.166667, 1.5),
        (6, 0.5, pytest.approx(0.006)),
        (2, 0.166667, 0.004),
        (2, 0.166667, None),
    ]
    assert report.targets == {"large": 0.333333, "small": 0.666667}
    assert report.escalated == 0.333333
    assert report.escalated_of_risk == {"high": 1.0, "low": 0.0}


def test_escalated_is_what_went_elsewhere_than_most() -> None:
    assert told(routing(*[(3, None, None)] * 3, (1, "low", None))).escalated_of_risk == {"low": 1.0}
    even = told(routing((0, None, None), (1, None, None)))
    assert even.escalated == 0.5
    assert told(routing((1, None, None))).escalated == 0.0


def test_there_is_nothing_to_tell_without_routes_or_requests() -> None:
    assert routes_report(FACTS, Routing()) is None
    assert routes_report((), MIX) is None


def test_turns_that_changed_their_target() -> None:
    found = Routing()
    for session, turn, rule, last, phase in (
        (1, 0, 1, False, "warmup"),
        (2, 0, 3, False, "measure"),
        (1, 1, 3, False, "measure"),  # moved, from a turn of the warm-up
        (2, 1, 0, False, "measure"),  # another route to the same target
        (1, 2, 2, True, "measure"),  # moved back
        (2, 2, 1, True, "drain"),  # outside of the window
        (1, 0, 3, True, "measure"),  # the same number again: another conversation
    ):
        add(found, session=session, turn=turn, rule=rule, last_turn=last, phase=phase)
    assert found.moved == 2
    assert found.requests.total() == 5


def test_conditions_in_words() -> None:
    both = Route(to="a", task=("t",), risk=("high",), over=Tokens(1000), up_to=Tokens(180_000))
    assert [fact.when for fact in route_facts((*ROUTES, both))] == [
        "risk high",
        "task triage or summarize",
        "over 180,000 prompt tokens",
        "all others",
        "risk high, task t, over 1,000 and up to 180,000 prompt tokens",
    ]


@pytest.fixture
def report(invent: Any) -> Any:
    return invent.report(
        invent.target("small"),
        invent.target("routed", model="m", routes=told(MIX), target="routed"),
    )


def test_the_terminal_and_markdown_show_routes_and_shares(report: Any) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    print_report(report, console)
    text = " ".join(console.export_text().split())
    assert "1. risk high large 2 16.7 % 1.50" in text
    assert "4. all others large 2 16.7 % -" in text
    sentence = (
        "routed: of the requests 66.7 % went to small, 33.3 % went to large; "
        "33.3 % were escalated (100.0 % of risk high, 0.0 % of risk low)"
    )
    assert sentence in text
    markdown = to_markdown(report)
    assert "## Routes" in markdown
    assert "| 2. task triage or summarize | small | 6 | 50.0 % | 0.006 |" in markdown
    assert sentence in markdown


def test_csv_has_the_shares_of_the_mix(report: Any) -> None:
    rows = {
        row["metric"]: (row["target"], row["count"], row["mean"])
        for row in csv.DictReader(io.StringIO(to_csv(report), newline=""))
        if row["metric"].startswith("share_")
    }
    assert rows == {
        "share_to_small": ("routed", "1000", "0.666667"),
        "share_to_large": ("routed", "1000", "0.333333"),
        "share_escalated": ("routed", "1000", "0.333333"),
    }


def test_check_says_what_each_route_would_take(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("""
name = "s"
targets = [{ name = "small", model = "m" }, { name = "large", model = "m", alone = false }]
load = { requests = 4 }
routes = [{ to = "large", prompt_tokens_over = 300 }, { to = "small" }]
[[workload]]
source = "synthetic"
prompt_tokens = { kind = "empirical", values = [100, 500], weights = [3, 1] }
""")
    scenario = load(tmp_path / "s.toml")
    prompts = open_prompts([decide_salt(w) for w in scenario.workloads], scenario.seed)
    lines = preview(scenario, build(scenario, prompts), prompts).splitlines()
    assert "target       large: m at built-in simulator (SIMULATED), by routes only" in lines
    assert "connections  up to 3 at a time in all" in lines  # small alone, and one to each for the mix
    at = lines.index("routes       of the mix, by the first turns of 1,000 sessions:")
    shares = {line.split()[-1]: int(line.split("%")[0]) for line in lines[at + 1 : at + 3]}
    assert shares["others"] == pytest.approx(75, abs=5)
    assert lines[at + 1].endswith("% to large: over 300 prompt tokens")
    assert sum(shares.values()) == 100
