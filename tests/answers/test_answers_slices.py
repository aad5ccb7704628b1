import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from loadgen.answers.sides import Part, sides_of_run
from loadgen.answers.slices import GROUPINGS, slices, slowest, words
from loadgen.cli import main
from loadgen.measure.sample import Sample
from loadgen.results.read import open_run
from tests.results.saved import MS, STARTED, failed, sample, write_run


def requests(n: int = 4_000) -> list[Sample]:
    """One in twenty prompts is long and takes three times as long; one request in fifty fails."""
    rng = np.random.default_rng(3)
    made = []
    for i in range(10, 10 + n):
        long = rng.random() < 0.05
        first = (sample(i).sent_ns or 0) + round((600 if long else 200) * MS * float(rng.lognormal(0, 0.1)))
        one = msgspec.structs.replace(
            sample(i),
            first_token_ns=first,
            last_token_ns=first + 300 * MS,
            done_ns=first + 301 * MS,
            prompt_tokens=6_000 if long else 100,
            task="summary" if i % 3 == 0 else "completion",
            turn=i // 2 % 2,
        )
        made.append(failed(i) if rng.random() < 0.02 else one)
    return made


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Part:
    folder, _ = write_run(tmp_path_factory.mktemp("run"), requests(), STARTED + timedelta(0), end_ns=None)
    return sides_of_run(open_run(folder))[0].parts[0]


@pytest.mark.parametrize("by", GROUPINGS)
def test_the_groups_of_a_grouping_are_all_requests_once(part: Part, by: str) -> None:
    values = part.columns.metric("ttft")
    expected = int((part.sent() & ~np.isnan(values)).sum())
    assert sum(group.requests for group in slices(part, by, "ttft")) == expected > 1_500


def test_turns_are_told_apart_up_to_a_number(part: Part) -> None:
    turns = np.arange(len(part.columns.turn), dtype=np.int32) // 4 % 12
    many = replace(part, columns=part.columns._replace(turn=turns))
    assert [group.name for group in slices(many, "turn", "ttft")] == [
        "first",
        *map(str, range(2, 10)),
        "10 and later",
    ]


def test_stages_are_told_apart(part: Part) -> None:
    stages = [{"time": "20s", "from": "1/s"}, {"time": "10s", "from": "1/s", "to": "15/s"}]
    run = msgspec.structs.replace(part.report.run, load={"warmup": "5s", "stages": stages})
    staged = replace(part, report=msgspec.structs.replace(part.report, run=run))
    found = slices(staged, "stage", "ttft")
    intended = part.columns.intended_ns[part.sent() & ~np.isnan(part.columns.metric("ttft"))]
    assert [group.name for group in found] == ["1: 20s of 1/s", "2: 10s of 1/s to 15/s"]
    first = int(((intended >= 5_000 * MS) & (intended < 25_000 * MS)).sum())
    assert [group.requests for group in found] == [first, int((intended >= 25_000 * MS).sum())]
    assert first > 0


def test_a_group_has_its_own_figures(part: Part) -> None:
    short, long = slices(part, "prompt_tokens", "ttft")
    assert (short.name, long.name) == ("0 to 127", "2,048 to 8,191")
    assert short.figures[0] == pytest.approx(200, rel=0.05)
    assert long.figures[0] == pytest.approx(600, rel=0.1)
    assert short.percentiles[0] is not None


def test_what_makes_the_p99_is_the_long_prompts_and_nothing_else(part: Part) -> None:
    found = slowest(part, "ttft")
    assert [(g.by, g.name) for g in found] == [("prompt tokens", "2,048 to 8,191")]
    assert found[0].share > 0.95
    assert found[0].of_all == pytest.approx(0.05, abs=0.02)
    assert "had prompts of 2,048 to 8,191 tokens (" in words(found)


def test_of_too_few_requests_nothing_is_said(tmp_path: Path) -> None:
    folder, _ = write_run(tmp_path, requests(600), end_ns=None)
    assert slowest(sides_of_run(open_run(folder))[0].parts[0], "ttft") == []


def test_the_command_prints_every_target(part: Part, tmp_path: Path) -> None:
    folder, _ = write_run(tmp_path, requests(400), end_ns=None)
    done = CliRunner().invoke(main, ["report", str(folder), "--by", "task", "--metric", "e2e", "--json"])
    rows = json.loads(done.output)
    assert {row["group"] for row in rows} == {"summary", "completion"}
    assert len({row["target"] for row in rows}) == 2
    of_turns = CliRunner().invoke(main, ["report", str(folder), "--by", "turn"]).output
    assert (of_turns.count("\nfirst "), of_turns.count("\n2 ")) == (2, 2)


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["--by", "tusk"], 'did you mean "task"?'),
        (["--by", "task", "--metric", "tft"], 'did you mean "ttft"?'),
    ],
    ids=["grouping", "metric"],
)
def test_a_wrong_name_is_one_line(part: Part, tmp_path: Path, args: list[str], what: str) -> None:
    folder, _ = write_run(tmp_path, requests(20), end_ns=None)
    done = CliRunner().invoke(main, ["report", str(folder), *args])
    assert done.exit_code == 2
    assert what in done.output
