"""Every scenario under scenarios/ is right, says what it is for, and runs on the simulator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.api import RunOptions, run
from loadgen.scenario.load import load
from loadgen.scenario.model import Scenario
from loadgen.scenario.overrides import from_options
from loadgen.simulator.process import start
from tests.program import invoke, read_samples

ROOT = Path(__file__).parents[1]
SHIPPED = sorted((ROOT / "scenarios").glob("*.toml"))
STARTERS = {"prompts", "chat_day", "rate_ladder", "shared_prefix"}  # each shows a way to load or to speak
each = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with start() as simulator:
        yield simulator.base_url


def quick(path: Path, base_url: str) -> Scenario:
    """Two sessions a target with short answers, whatever the scenario asks for."""
    changes = from_options(base_url=base_url, concurrency=2, requests=2, warmup="0s", ramp="0s")
    changes += [("--duration", "30s"), ("report.formats", ["markdown"])]
    shipped = load(path)
    brief = {"turns": 2, "think_time": "1ms"}
    if not shipped.routes:  # which need the lengths that they ask for
        brief["prompt_tokens"] = 300
    for i, workload in enumerate(shipped.workloads):
        at = "workload" if len(shipped.workloads) == 1 else f"workload[{i}]"
        changes += [(f"{at}.{k}", v) for k, v in brief.items() if getattr(workload, k) is not None]
        if shipped.targets[0].endpoint != "images":
            changes += [(f"{at}.output_tokens", 4)]
        if workload.shared_prefix is not None:
            changes += [(f"{at}.shared_prefix.tokens", 300)]
    return load(path, changes)


@each
def test_it_says_what_it_is_for(path: Path) -> None:
    scenario = load(path)
    assert scenario.name == path.stem
    assert scenario.description
    assert all(t.base_url is None for t in scenario.targets)  # runs as it is, on the simulator
    head = path.read_text("utf-8").split("\nname = ")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    if path.stem not in STARTERS:
        assert all(word in head for word in ("# Traffic: ", "# SLO: ", "# Who decides by it: "))
        assert scenario.slo.objectives, "has no [slo]"
    assert f"({path.name})" in (ROOT / "docs" / "scenarios.md").read_text("utf-8").replace(
        "../scenarios/", ""
    )


@pytest.mark.slow  # all together; the runs of other tests are like these
@each
def test_it_runs(path: Path, tmp_path: Path, base_url: str) -> None:
    scenario = quick(path, base_url)
    result = run(scenario, RunOptions(tmp_path, probe=False))
    samples = read_samples(result.folder)
    assert {(s["outcome"], s["error"]) for s in samples} == {("ok", None)}
    assert {s["target"] for s in samples} >= {t.name for t in scenario.targets}
    assert {s["task"] for s in samples} <= {w.task for w in scenario.workloads}


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        pytest.param(
            "routed_mix", "--set workload[3].prompt_tokens.max=250k", "its context of 200,000", id="rule"
        ),
        pytest.param("long_document", "--model gpt-5.5", "beyond the context of 64,000", id="window"),
        pytest.param("code_completion", "--model gpt-image-1-mini", "does not stream", id="stream"),
        pytest.param("multimodal_diagram", "--model gpt-4o-2024-11-20", "takes no images", id="images"),
    ],
)
def test_what_it_can_not_do_is_told(name: str, options: str, words: str) -> None:
    checked = invoke("check", ROOT / "scenarios" / f"{name}.toml", *options.split())
    assert checked.exit_code == 2
    assert words in checked.stderr
