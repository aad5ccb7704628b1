import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

import loadgen
from loadgen.answers.compare import compare_all
from loadgen.answers.compared import compare
from loadgen.answers.gate import parse_gate
from loadgen.answers.sides import sides_of_run
from loadgen.cli import main
from loadgen.errors import LoadgenError
from loadgen.measure.sample import Sample
from loadgen.report.files import report_again
from loadgen.results.columns import COLUMNS, read_columns
from loadgen.results.folder import write_report
from loadgen.results.model import Comparison, Verdict
from loadgen.results.read import open_run
from tests.results.saved import MS, STARTED, TARGETS, failed, sample, write_run

REQUESTS = 1_200


def requests(factors: tuple[float, float] = (1, 1), *, seed: int = 1, failing: int = 0) -> list[Sample]:
    """Requests of two targets in turn: log-normal TTFT around 200 ms times the target's factor."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(10, 10 + 2 * REQUESTS):
        one = sample(i)
        sent = one.sent_ns or 0
        first = sent + round(200 * MS * factors[i % 2] * float(rng.lognormal(0, 0.2)))
        times = {
            "first_token_ns": first,
            "first_answer_ns": first,
            "last_token_ns": first + 300 * MS,
            "done_ns": first + 301 * MS,
        }
        made.append(failed(i) if failing and i % failing == 1 else msgspec.structs.replace(one, **times))
    return made


def saved(out: Path, hours: int = 0, **kind: Any) -> Path:
    folder, report = write_run(out, requests(**kind), started=STARTED + timedelta(hours=hours), end_ns=None)
    targets = tuple(msgspec.structs.replace(target, slo=()) for target in report.targets)
    write_report(folder, msgspec.structs.replace(report, targets=targets))
    return folder


@pytest.fixture(scope="module")
def equal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose targets are equally fast; only to be read."""
    return saved(tmp_path_factory.mktemp("equal"))


@pytest.fixture(scope="module")
def slower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose second target is slower by 10 %; only to be read."""
    return saved(tmp_path_factory.mktemp("slower"), factors=(1, 1.1))


def changed(folder: Path, **run: Any) -> Path:
    """Change what the report says of its run, or of its verdict."""
    report = open_run(folder).report
    verdict = run.pop("verdict", report.verdict)
    models = run.pop("models", None)
    targets = report.targets
    if models is not None:
        targets = tuple(msgspec.structs.replace(t, model=m) for t, m in zip(targets, models, strict=True))
    new = msgspec.structs.replace(
        report, run=msgspec.structs.replace(report.run, **run), verdict=verdict, targets=targets
    )
    write_report(folder, new)
    return folder


def within(folder: Path) -> dict[tuple[str, str | None], Comparison]:
    base, other = sides_of_run(open_run(folder))
    return {(row.metric, row.percentile): row for row in compare_all([(base, other)])[0].rows}


def test_two_targets_of_a_run_are_told_apart_with_an_interval_around_the_truth(slower: Path) -> None:
    rows = within(slower)
    ttft = rows["ttft_ms", "p50"]
    assert ttft.verdict == "worse"
    assert ttft.ratio_ci95 is not None
    assert ttft.ratio_ci95[0] < 1.1 < ttft.ratio_ci95[1]
    assert rows["tpot_ms", "p50"].verdict == "no difference shown"
    assert rows["error_rate", None].verdict == "no difference shown"
    assert rows["ttft_ms", "p99"].base is not None


def test_equal_targets_are_not_told_apart(equal: Path) -> None:
    rows = within(equal)
    assert {row.verdict for row in rows.values()} <= {"no difference shown", "not bounded"}
    could = rows["ttft_ms", "p50"].could_have_shown
    assert could is not None
    assert 0.01 < could < 0.1


def test_failures_are_a_figure_of_their_own_and_flagged(tmp_path: Path) -> None:
    folder = saved(tmp_path, failing=5)
    base, other = sides_of_run(open_run(folder))
    [pair] = compare_all([(base, other)])
    rates = next(row for row in pair.rows if row.metric == "error_rate")
    assert rates.base is not None
    assert rates.other is not None
    assert rates.base + rates.other == pytest.approx(0.4, abs=0.01)
    assert any("failed: its latencies are those of the others" in flag for flag in pair.flags)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        pytest.param({"digest": "cd"}, "the digests of the plans differ", id="other load"),
        pytest.param({}, "one run each", id="one run each"),
        pytest.param({"simulated": True}, "one side is SIMULATED", id="simulated"),
        pytest.param({"models": ("m", "n")}, "models count tokens differently", id="other model"),
    ],
)
def test_what_stands_between_two_runs_is_said(
    equal: Path, tmp_path: Path, change: dict[str, Any], flag: str
) -> None:
    other = changed(saved(tmp_path, 1, seed=2), **change)
    found = compare([str(equal), str(other)])
    assert any(flag in said for pair in found.pairs for said in pair.flags)


def test_between_models_tokens_have_no_verdict_and_characters_have(tmp_path: Path) -> None:
    rows = within(changed(saved(tmp_path, factors=(1, 1.3)), models=("m", "n")))
    assert rows["output_tokens_per_s", "p50"].verdict == "no verdict"
    assert rows["tpot_ms", "p50"].verdict == "no verdict"
    assert ("output_chars_per_s", "p50") in rows
    assert rows["ttft_ms", "p50"].verdict == "worse"


def test_three_runs_a_side_have_the_drift_between_runs_in_their_interval(tmp_path: Path) -> None:
    # runs of one side differ by 15 %: much more than any run's own interval says
    base = [saved(tmp_path, i, factors=(by, by), seed=i) for i, by in enumerate((0.85, 1.0, 1.15))]
    other = [saved(tmp_path, 3 + i, factors=(by, by), seed=9 + i) for i, by in enumerate((0.95, 1.1, 1.2))]
    [pair, _] = compare([",".join(map(str, base)), ",".join(map(str, other))]).pairs
    assert not any("one run each" in flag for flag in pair.flags)
    row = next(r for r in pair.rows if (r.metric, r.percentile) == ("ttft_ms", "p50"))
    assert row.verdict == "no difference shown"
    [single, _] = compare([str(base[0]), str(other[0])]).pairs
    assert next(r for r in single.rows if r.metric == "ttft_ms").verdict == "worse"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"verdict": Verdict("invalid", ("busy",))}, "1 invalid", id="invalid"),
        pytest.param({"verdict": Verdict("suspect", ("late",))}, "1 suspect", id="suspect"),
        pytest.param({"interrupted": True}, "1 stopped before its end", id="interrupted"),
        pytest.param({"complete": False}, "1 stopped before its end", id="killed"),
        pytest.param({"stopped_by": "budget"}, "1 stopped before its end", id="out of budget"),
        pytest.param({"digest": "cd"}, "1 of another plan", id="other plan"),
        pytest.param({"simulated": True}, "1 simulated", id="simulated"),
    ],
)
def test_the_last_good_run_is_the_latest_valid_and_whole_one_of_the_same_plan(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    good, bad, newest = (saved(tmp_path, i, seed=i) for i in range(3))
    changed(bad, **change)
    found = compare([str(newest)], baseline="last-good")
    assert {part.report.run.id for pair in found.pairs for part in pair.base.parts} == {good.name}
    shutil.rmtree(good)
    none = compare([str(newest)], baseline="last-good")
    assert not none.pairs
    assert len(none.notes) == 1
    assert f"no good run of this plan before this one (passed over: {told})" in none.notes[0]


def test_a_first_run_has_nothing_to_be_compared_with(equal: Path, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    args = ["--baseline", "last-good", "--fail-if", "ttft.p99 worse by 5%", "--junit", str(junit)]
    done = CliRunner().invoke(main, ["compare", str(equal), *args])
    assert (done.exit_code, done.output) == (0, "no good run before this one: nothing to compare with yet\n")
    assert len(ET.fromstring(junit.read_bytes()).findall(".//testcase")) == 1


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


def test_runs_of_several_scenarios_give_a_table_of_winners(tmp_path: Path) -> None:
    fast = changed(saved(tmp_path / "a", factors=(1, 1.2)), models=("m", "n"), scenario="editing")
    same = changed(saved(tmp_path / "b", seed=3), models=("m", "n"), scenario="review")
    found = compare([str(fast), str(same)])
    winners = {d.scenario: d.winners["latency"] for d in found.decisions}
    assert winners["editing"].name == TARGETS[0]
    assert winners["editing"].shown
    assert not winners["review"].shown


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


@pytest.mark.parametrize(
    ("args", "words"),
    [
        pytest.param(["--fail-if", "tft.p50 worse by 5%"], 'did you mean "ttft"?', id="unknown metric"),
        pytest.param(["--fail-if", "ttft.p42 worse by 5%"], "p50, p90, p99", id="unknown percentile"),
        pytest.param(
            ["--fail-if", "error_rate.p50 worse by 5%"], "has no percentile", id="percentile of a share"
        ),
        pytest.param(["--fail-if", "ttft.p50 slower"], "is no gate", id="no gate"),
        pytest.param(["--fail-if", "ttft.p50 worse by 1.2.3%"], "is no gate", id="no number"),
        pytest.param(
            ["--fail-if", "error_rate worse by 500%"], "can never fail", id="more failures than requests"
        ),
        pytest.param(
            ["--fail-if", "output_tokens_per_s.p10 worse by 100%"], "can never fail", id="slower than nothing"
        ),
        pytest.param(["--baseline", "our own"], 'did you mean "our own, new"?', id="unknown target"),
    ],
)
def test_what_can_not_be_compared_is_one_line(equal: Path, args: list[str], words: str) -> None:
    done = CliRunner().invoke(main, ["compare", str(equal), *args])
    assert done.exit_code in (1, 2)
    assert words in done.output
    assert done.output.count("\n") == 1


def test_a_run_is_not_compared_with_itself(equal: Path) -> None:
    with pytest.raises(LoadgenError, match="is compared with itself"):
        compare([str(equal), str(equal.parent / "latest")])


def test_repetitions_without_a_common_target_are_one_line(equal: Path, tmp_path: Path) -> None:
    theirs = saved(tmp_path, 1, seed=2)
    report = open_run(theirs).report
    alone = msgspec.structs.replace(report.targets[0], name="theirs")
    write_report(theirs, msgspec.structs.replace(report, targets=(alone,)))
    done = CliRunner().invoke(main, ["compare", f"{equal},{theirs}", str(saved(tmp_path, 2, seed=3))])
    assert done.exit_code == 2
    told = f"Error: compare: {equal.name} and {theirs.name} have no target in common; join with commas only"
    assert done.output.startswith(told)
    assert done.output.count("\n") == 1


@pytest.mark.parametrize("nothing", ["", ","], ids=["empty", "comma"])
def test_a_side_without_a_run_is_one_line(equal: Path, nothing: str) -> None:
    done = CliRunner().invoke(main, ["compare", nothing, str(equal)])
    assert (done.exit_code, done.output) == (
        2,
        f'Error: compare: "{nothing}" names no run; give the folder of one\n',
    )


def test_a_killed_run_is_the_same_to_all_who_open_it(tmp_path: Path) -> None:
    folder = saved(tmp_path, factors=(1, 1.1))
    (folder / "report.json").unlink()
    opened = loadgen.open_run(folder).report
    compared = compare([str(folder)]).reports[0]
    written = report_again(folder).report
    assert opened.comparison
    assert opened.targets[0].metrics["ttft_ms"].effective
    assert opened == compared == written == open_run(folder).report


def test_json_holds_every_figure(slower: Path) -> None:
    done = CliRunner().invoke(main, ["compare", str(slower), "--json"])
    rows = json.loads(done.output)["comparison"]
    assert {
        "metric",
        "percentile",
        "base_target",
        "other_target",
        "base",
        "other",
        "difference",
        "ci95",
        "verdict",
    } <= set(rows[0])


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


def test_columns_are_the_samples_and_are_made_anew_when_these_have_changed(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    rows = [s for s in open_run(folder).samples() if s.target == TARGETS[0]]
    for _ in range(2):  # made, then read
        columns = read_columns(folder)
        ttft = columns.metric("ttft")[columns.where(target=TARGETS[0])]
        assert ttft == pytest.approx(
            [((s.first_token_ns or 0) - (s.sent_ns or 0)) / MS for s in rows], abs=0.01
        )
    (folder / COLUMNS).write_bytes(b"PK not really")
    assert len(read_columns(folder).turn) == 2 * REQUESTS
    with (folder / "samples.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(sample(5_000)) + b"\n")
    assert len(read_columns(folder).turn) == 2 * REQUESTS + 1
