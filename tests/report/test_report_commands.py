"""`loadgen report` and `loadgen runs`, as processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from loadgen.measure.histogram import BUCKETS, encode
from loadgen.measure.recorder import Recorder
from loadgen.measure.sample import Sample
from loadgen.report.files import write_reports
from loadgen.results.folder import RunFolder
from loadgen.results.summary import RunState, TargetFacts, Vitals, Window, build_report

STARTED = datetime(2026, 11, 21, 3, 15, 0, tzinfo=UTC)
SECOND = 1_000_000_000


def loadgen(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "COLUMNS")}
    argv = [sys.executable, "-m", "loadgen", *map(str, args)]
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=60, cwd=cwd, check=False, env=environment
    )


@pytest.fixture
def make_run(tmp_path: Path, invent: Any) -> Callable[..., Path]:
    """Write a run of 50 requests below reports/, as a run does."""

    def make(hours: int = 0, *, killed: bool = False, name: str = "coding") -> Path:
        folder = RunFolder.create(tmp_path / "reports", name, STARTED + timedelta(hours=hours))
        run = msgspec.structs.replace(
            invent.report(invent.target()).run, id=folder.id, complete=False, scenario=name
        )
        facts = (TargetFacts("gpt-5.5", "gpt-5.5", "http://127.0.0.1:9/v1", "chat", False, False),)
        lag = encode(np.zeros(BUCKETS, np.int64))
        state = RunState(run, facts, Window(0, 5 * SECOND), Vitals(lag), None)
        recorder = Recorder(["gpt-5.5"], 0)
        folder.write_header(msgspec.json.encode(state))
        for i in range(50):
            sent = i * SECOND // 10
            sample = Sample(
                seq=i,
                target="gpt-5.5",
                task="completion",
                session=i,
                turn=0,
                phase="measure",
                worker=0,
                outcome="ok",
                intended_ns=sent,
                sent_ns=sent,
                first_token_ns=sent + SECOND // 5,
                last_token_ns=sent + SECOND,
                done_ns=sent + SECOND,
                output_tokens=40,
                output_events=40,
                token_source="usage",
            )
            recorder.add(sample)
            folder.append(msgspec.json.encode(sample) + b"\n")
        folder.close()
        if not killed:
            complete = msgspec.structs.replace(state, run=msgspec.structs.replace(run, complete=True))
            write_reports(folder.path, build_report(complete, recorder), ("html", "markdown", "csv"))
        return folder.path

    return make


def test_report_writes_the_files_again_and_prints_the_table(
    tmp_path: Path, make_run: Callable[..., Path]
) -> None:
    folder = make_run()
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    (folder / "report.md").write_text("old")
    (folder / "report.csv").unlink()
    done = loadgen("report", "reports/coding/latest", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[0] == "VALID"
    assert "requests ok" in done.stdout
    assert "\x1b" not in done.stdout
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_report_of_a_killed_run_is_judged_and_kept(tmp_path: Path, make_run: Callable[..., Path]) -> None:
    folder = make_run(killed=True)
    done = loadgen("report", folder, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.split()[0] == "SUSPECT"
    assert "INCOMPLETE" in done.stdout
    report = msgspec.json.decode((folder / "report.json").read_bytes())
    assert report["verdict"]["state"] == "suspect"
    assert report["targets"][0]["requests"]["ok"] == 50
    assert {"report.md", "report.csv"} <= {p.name for p in folder.iterdir()}


@pytest.mark.parametrize("killed", [False, True], ids=["whole", "killed"])
def test_report_as_json_is_the_file_and_nothing_else(
    tmp_path: Path, make_run: Callable[..., Path], killed: bool
) -> None:
    folder = make_run(killed=killed)
    done = loadgen("report", "reports/coding", "--json", cwd=tmp_path)
    assert done.stdout == (folder / "report.json").read_text()
    assert (done.returncode, done.stderr) == (0, "")


def test_report_of_a_newer_format_says_so_beside_the_table(
    tmp_path: Path, make_run: Callable[..., Path]
) -> None:
    folder = make_run()
    raw = msgspec.json.decode((folder / "report.json").read_bytes())
    (folder / "report.json").write_bytes(msgspec.json.encode(raw | {"format": 7, "loadgen": "9.9"}))
    done = loadgen("report", folder, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.startswith("Note: report.json has format 7 (loadgen 9.9), this is loadgen ")
    assert "requests ok" in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["report", "reports/none"], 1, "Error: reports/none: there is no such run; `loadgen runs` lists"),
        (["report", "reports"], 1, "Error: reports: is no run folder"),
        (["report"], 2, "Error: Missing argument 'RUN'."),
        (["report", "reports/coding", "--nope"], 2, "Error: No such option"),
        (["runs", "extra"], 2, "Error: Got unexpected extra argument"),
    ],
    ids=["missing", "no run", "no argument", "unknown option", "extra argument"],
)
def test_mistakes_are_told_in_a_line(
    tmp_path: Path, make_run: Callable[..., Path], args: list[str], code: int, told: str
) -> None:
    make_run()
    done = loadgen(*args, cwd=tmp_path)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(told)


def test_runs_are_listed_newest_first_with_latest(tmp_path: Path, make_run: Callable[..., Path]) -> None:
    killed, other, newest = make_run(1, killed=True), make_run(0, name="chat"), make_run(2)
    done = loadgen("runs", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()[2:]]
    assert lines == [
        f"coding {newest.name} * valid 50 24.3 gpt-5.5",
        f"coding {killed.name} incomplete - 24.3 gpt-5.5",
        f"chat {other.name} * valid 50 24.3 gpt-5.5",
        "* latest of its scenario",
        "incomplete: killed or still running; `loadgen report` writes what there is",
    ]


def test_runs_as_json(tmp_path: Path, make_run: Callable[..., Path]) -> None:
    folder = make_run()
    done = loadgen("runs", "--out", "reports", "--json", cwd=tmp_path)
    (run,) = msgspec.json.decode(done.stdout)
    assert (run["id"], run["latest"], run["requests"]) == (folder.name, True, 50)
    assert run["path"] == f"reports/coding/{folder.name}"


@pytest.mark.parametrize(("option", "out"), [([], ""), (["--json"], "[]\n")], ids=["table", "JSON"])
def test_no_runs(tmp_path: Path, option: list[str], out: str) -> None:
    done = loadgen("runs", *option, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, out)
    assert done.stderr == ("" if option else "no runs in reports\n")
