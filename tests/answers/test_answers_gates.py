import re
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from click.testing import CliRunner

from loadgen.answers.compared import compare
from loadgen.answers.gate import parse_gate
from loadgen.cli import main
from loadgen.report.compare import table_of
from tests.answers.runs import changed, requests, saved
from tests.results.saved import write_run


def test_a_gate_that_can_not_be_told_is_skipped_and_says_so(tmp_path: Path) -> None:
    few, _ = write_run(tmp_path, requests()[:300], end_ns=None)
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    args = ["--fail-if", "ttft.p99 worse by 5%", "--junit", str(junit), "--markdown", str(summary)]
    done = CliRunner().invoke(main, ["compare", str(few), *args])
    assert done.exit_code == 0
    assert "gate NOT TOLD ttft.p99 worse by 5%" in done.output
    assert len(ET.fromstring(junit.read_bytes()).findall(".//skipped")) == 1
    told = summary.read_text("utf-8")
    assert "- **not told**: `ttft.p99 worse by 5%` (our own, new against gpt-5.5)" in told
    assert "p99 takes 1,000 independent requests a side" in told


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        pytest.param("ttft.p50 worse by 5%", 3, id="worse by 10 %, for sure"),
        pytest.param("ttft.p50 worse by 9.9%", 0, id="worse by 10 %, but not for sure by 9.9"),
        pytest.param("ttft.p50 worse by 30%", 0, id="not so much worse"),
        pytest.param("ttft.p50 worse by 500%", 0, id="not six times as long"),
        pytest.param("tpot.p99 worse by 1%", 0, id="the same"),
        pytest.param("error_rate worse by 1%", 0, id="no errors"),
    ],
)
def test_a_gate_fails_only_where_the_evidence_holds(
    slower: Path, tmp_path: Path, gate: str, code: int
) -> None:
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    args = ["compare", str(slower), "--fail-if", gate, "--junit", str(junit), "--markdown", str(summary)]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == code, done.output
    suites = ET.fromstring(junit.read_bytes())
    assert len(suites.findall(".//failure")) == (1 if code else 0)
    assert "| TTFT, ms | p50 |" in summary.read_text("utf-8")
    figure = r"changed by \S+ points" if gate.startswith("error_rate") else r"worse by -?[0-9.]+%"
    assert re.search(figure + r", 95 % interval \[-?\S+, \S+\]", " ".join(done.output.split()))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (" output_tokens_per_s.p10 worse by 2.5 % ", ("output_tokens_per_s", "p10", 0.025)),
        ("e2e.p50 worse by 500%", ("e2e", "p50", 5.0)),
        ("usd_per_request worse by 100%", ("usd_per_request", None, 1.0)),
    ],
    ids=["of a speed", "six times as long", "twice as dear"],
)
def test_a_gate_is_read(text: str, read: tuple[str, str | None, float]) -> None:
    gate = parse_gate(text)
    assert (gate.metric, gate.percentile, gate.by) == read


def test_a_gate_above_100_percent_fails_where_the_evidence_holds(tmp_path: Path) -> None:
    folder = saved(tmp_path, factors=(1, 8))
    args = ["compare", str(folder), "--fail-if", "ttft.p50 worse by 500%"]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 3, done.output


@pytest.mark.parametrize(
    ("costs", "state", "told"),
    [
        pytest.param((0.0, 0.01), "FAILED", "the base costs nothing, this 0.01", id="from nothing"),
        pytest.param((0.01, 0.0), "passed", "it costs nothing, the base 0.01", id="to nothing"),
        pytest.param((0.0, 0.0), "passed", "both cost nothing", id="nothing"),
        pytest.param(
            (0.01, None), "NOT TOLD", "not known what each request of our own, new costs", id="not known"
        ),
        pytest.param((0.01, 0.02), "FAILED", "worse by 100.0%, 95 % interval [100.0%, 100.0%]", id="twice"),
    ],
)
def test_a_gate_on_cost_is_answered_also_where_a_side_costs_nothing(
    tmp_path: Path, costs: tuple[float, float | None], state: str, told: str
) -> None:
    made = [msgspec.structs.replace(one, cost_usd=costs[one.seq % 2]) for one in requests()[:200]]
    folder, _ = write_run(tmp_path, made, end_ns=None)
    done = CliRunner().invoke(main, ["compare", str(folder), "--fail-if", "usd_per_request worse by 5%"])
    words = " ".join(done.output.split())
    assert f"gate {state} usd_per_request worse by 5%" in words
    assert told in words
    assert done.exit_code == (3 if state == "FAILED" else 0)


def test_a_change_from_nothing_is_told_in_dollars(tmp_path: Path) -> None:
    made = [msgspec.structs.replace(one, cost_usd=0.01 * (one.seq % 2)) for one in requests()[:200]]
    [pair] = compare([str(write_run(tmp_path, made, end_ns=None)[0])]).pairs
    cost = next(row for row in table_of(pair.rows).rows if row[0] == "USD/request")
    assert cost[-2:] == ("+0.01 USD [+0.01, +0.01]", "worse")


def test_what_no_side_has_is_no_row_and_a_gate_on_it_says_so(tmp_path: Path) -> None:
    whole = dict.fromkeys(("first_token_ns", "first_answer_ns", "last_token_ns"))
    made = [msgspec.structs.replace(one, **whole) for one in requests()[:200]]
    found = compare([str(write_run(tmp_path, made, end_ns=None)[0])], fail_if=["ttft.p50 worse by 5%"])
    grid = table_of(found.pairs[0].rows)
    assert [row[0] for row in grid.rows if row[0]] == ["e2e, ms", "failed, %"]
    assert len(grid.verdicts) == len(grid.rows)
    assert found.gates[0].words.endswith("gpt-5.5 has none and our own, new has none")


def test_a_gate_on_a_cost_of_too_few_requests_says_how_many_it_takes(tmp_path: Path) -> None:
    made = [msgspec.structs.replace(one, cost_usd=0.01) for one in requests()[:24]]
    found = compare([str(write_run(tmp_path, made, end_ns=None)[0])], fail_if=["usd_per_request worse by 5%"])
    assert (found.gates[0].told, found.gates[0].words) == (
        False,
        "can't be told: 20 requests a side have to have a cost",
    )


@pytest.mark.parametrize(
    ("models", "gate", "told"),
    [
        pytest.param(("m", "m"), "output_chars_per_s.p10 worse by 5%", True, id="left out of the table"),
        pytest.param(("m", "n"), "output_tokens_per_s.p10 worse by 5%", False, id="other tokens"),
    ],
)
def test_a_gate_on_what_the_table_leaves_out_is_judged(
    tmp_path: Path, models: tuple[str, str], gate: str, told: bool
) -> None:
    folder = changed(saved(tmp_path), models=models)
    found = compare([str(folder)], fail_if=[gate]).gates[0]
    assert found.told is told
    assert told or found.words == "can't be told between different models"
