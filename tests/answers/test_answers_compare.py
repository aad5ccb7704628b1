import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from click.testing import CliRunner

import loadgen
from loadgen.answers.compare import compare_all
from loadgen.answers.compared import compare
from loadgen.answers.sides import sides_of_run
from loadgen.cli import main
from loadgen.errors import LoadgenError
from loadgen.measure.sample import Sample
from loadgen.report.compare import sentence
from loadgen.report.files import report_again
from loadgen.report.markdown import comparison
from loadgen.results.columns import COLUMNS, read_columns
from loadgen.results.folder import write_report
from loadgen.results.model import Comparison, Verdict
from loadgen.results.read import open_run
from tests.answers.runs import REQUESTS, changed, grows, requests, saved
from tests.results.saved import MS, TARGETS, sample, write_run


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
    assert any(
        "failed: its latencies are those of the requests that succeeded" in flag for flag in pair.flags
    )


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


@pytest.mark.parametrize(
    ("made", "told"),
    [
        pytest.param(
            requests()[:24],
            "p50 takes 20 independent requests a side; gpt-5.5 has 12 and our own, new has 12: send 2 times "
            "as many",
            id="few",
        ),
        pytest.param(
            [grows(one) for one in requests()[:800]],
            "p50 takes 20 independent requests a side; our own, new has 400 that share what slows "
            "them and count as 2: run 10 times as long, or at a lower load",
            id="a queue that grows",
        ),
    ],
)
def test_what_has_no_verdict_says_what_it_takes(tmp_path: Path, made: list[Sample], told: str) -> None:
    [pair] = compare([str(write_run(tmp_path, made, end_ns=None)[0])]).pairs
    assert pair.rows[0].verdict == "not bounded"
    assert sentence(pair.rows).partition(", without a verdict, as ")[2] == f"{told}."


def test_runs_of_several_scenarios_give_a_table_of_winners(tmp_path: Path) -> None:
    fast = changed(saved(tmp_path / "a", factors=(1, 1.2)), models=("m", "n"), scenario="editing")
    same = changed(saved(tmp_path / "b", seed=3), models=("m", "n"), scenario="review")
    found = compare([str(fast), str(same)])
    winners = {d.scenario: d.winners["latency"] for d in found.decisions}
    assert winners["editing"].name == TARGETS[0]
    assert winners["editing"].shown
    assert not winners["review"].shown
    # of no target a price is known
    assert "| scenario | latency (TTFT p50, ms) | speed (characters/s p50) |\n" in comparison(found)


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
