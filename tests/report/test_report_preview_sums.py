"""What `loadgen check` says a run would come to in all."""

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from loadgen.plan.plan import build
from loadgen.report.preview import preview
from loadgen.scenario.load import load
from loadgen.workload.source import decide_salt, open_prompts


def in_all(tmp_path: Path, workload: dict[str, Any]) -> str:
    path = tmp_path / "s.toml"
    targets = [{"name": name, "model": "m"} for name in ("a", "b")]
    tables = {"name": "s", "targets": targets, "workload": workload, "load": {"requests": 10}}
    path.write_text(tomli_w.dumps(tables))
    scenario = load(path, [])
    prompts = open_prompts([decide_salt(w) for w in scenario.workloads], scenario.seed)
    text = preview(scenario, build(scenario, prompts), prompts)
    (line,) = [line for line in text.splitlines() if "in all about" in line]
    return line.split("in all about")[1].strip()


def test_single_requests(tmp_path: Path) -> None:
    words = {"source": "synthetic", "prompt_tokens": 100, "output_tokens": 10}
    assert in_all(tmp_path, words) == "2,000 prompt tokens asked for, 200 of answers at most"


def test_later_turns_repeat_the_earlier(tmp_path: Path) -> None:
    """Of 100, then 100 + 10 + 100, then 210 + 10 + 100 tokens."""
    words = {"source": "synthetic", "prompt_tokens": 100, "output_tokens": 10, "turns": 3}
    requests, tokens, answers = in_all(tmp_path, words).split(", ")
    assert requests == "60 requests (later turns repeat the earlier)"
    assert answers == "600 of answers at most"
    count, _, what = tokens.partition(" ")
    assert what == "prompt tokens asked for"
    assert int(count.replace(",", "")) == pytest.approx(20 * (100 + 210 + 320), rel=0.03)
