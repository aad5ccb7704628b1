"""The program as its users meet it: a scenario file, a process, the files it leaves."""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w
from click.testing import CliRunner, Result

from loadgen.api import RunOptions, RunResult
from loadgen.api import run as carry_out
from loadgen.cli import main
from loadgen.scenario.load import load as read_scenario

PROGRAM = [sys.executable, "-m", "loadgen"]
NOT_OURS = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS")
PROMPTS = "".join(json.dumps({"prompt": f"Count to {n}."}) + "\n" for n in range(50))


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: ours, without what would change its output."""
    return {k: v for k, v in os.environ.items() if k not in NOT_OURS} | more


def target(name: str, base_url: str | None = None, **keys: Any) -> dict[str, Any]:
    """One [[targets]] table; its model is named like it."""
    url = {} if base_url is None else {"base_url": base_url}
    return {"name": name, "model": name, **url, **keys}


def write_scenario(folder: Path, *targets: Mapping[str, Any], load: Mapping[str, Any], **keys: Any) -> Path:
    """Write s.toml and its prompts; answers are asked for with at most 4 tokens, and no HTML is made."""
    (folder / "prompts.jsonl").write_text(PROMPTS)
    workload = {"source": "jsonl", "file": "prompts.jsonl", "output_tokens": 4}
    report = {"formats": ["markdown", "csv"]}
    tables = {"name": "s", "targets": list(targets), "workload": workload, "load": load, "report": report}
    path = folder / "s.toml"
    path.write_text(tomli_w.dumps(tables | keys), "utf-8")
    return path


def loadgen(
    *args: str | Path, env: Mapping[str, str] | None = None, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end. before: called in the child before it begins."""
    return subprocess.run(
        [*PROGRAM, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment() if env is None else env,
        stdin=subprocess.DEVNULL,
        preexec_fn=before,
    )


@contextmanager
def apart_from_pytest() -> Iterator[None]:
    """For a run in this process: it collects garbage before it begins, and pytest's half a million objects
    would take longer than most runs."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def invoke(*args: str | Path) -> Result:
    """Run the program to its end in this process, as where no terminal is; bugs are raised."""
    with apart_from_pytest():
        runner = CliRunner(env=dict.fromkeys(NOT_OURS))
        return runner.invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def run_here(folder: Path, scenario: Path) -> RunResult:
    """Run a scenario in this process, without a probe; its folder is below `out`."""
    with apart_from_pytest():
        return carry_out(read_scenario(scenario), RunOptions(folder / "out", probe=False))


def only_run(out: Path) -> Path:
    """The folder of the one run below `out`."""
    (run,) = [f for f in out.glob("*/*") if not f.is_symlink()]
    return run


def read_samples(run: Path) -> list[dict[str, Any]]:
    """Every line of samples.jsonl; each must be whole."""
    text = (run / "samples.jsonl").read_text("utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def read_report(run: Path) -> Any:
    return json.loads((run / "report.json").read_bytes())


def reasons(report: Any) -> list[str]:
    """What the verdict says, without what a machine that is busy with other things adds."""
    found: list[str] = report["verdict"]["reasons"]
    return [r for r in found if "the generator was" not in r and "requests left" not in r]


def ended_well(code: int, out: Path) -> bool:
    """Whether a run was carried out and is a measurement; 4 may only mean that the generator was late."""
    report = read_report(only_run(out))
    gross = any("too much for this TTFT" in reason for reason in report["verdict"]["reasons"])
    return code == (4 if gross else 0)
