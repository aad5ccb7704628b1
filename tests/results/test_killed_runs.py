import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from loadgen.errors import OutputError
from loadgen.results.read import open_run
from tests.results.saved import SAMPLES, SECOND, kill, sample, write_run

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("end_ns", [10 * SECOND, None], ids=["by time", "by count"])
def test_killed_run_is_rebuilt_to_the_same_figures(tmp_path: Path, end_ns: int | None) -> None:
    folder, report = write_run(tmp_path, end_ns=end_ns)
    kill(folder)
    run = open_run(folder)
    assert run.rebuilt
    assert run.report.targets == report.targets
    assert run.report.targets[0].metrics["chunk_gap_ms"].count == 19 * report.targets[0].requests.ok
    assert run.report.instrument == report.instrument
    assert not run.report.run.complete
    assert run.report.verdict.state == "suspect"
    assert msgspec.structs.replace(run.report.run, complete=True) == report.run


@pytest.mark.parametrize("cut", [1, 2, 300, 600])
def test_half_a_last_line_is_passed_over(tmp_path: Path, cut: int) -> None:
    folder, _ = write_run(tmp_path)
    kill(folder, samples_cut=cut, hlog_cut=cut // 4)
    run = open_run(folder)
    # a line that only lacks its line end is whole
    expected = SAMPLES if cut == 1 else SAMPLES[:-1]
    assert list(run.samples()) == expected
    assert sum(t.requests.sent for t in run.report.targets) == len(expected) - 10


def test_killed_run_without_histograms_lacks_only_the_gaps(tmp_path: Path) -> None:
    folder, report = write_run(tmp_path)
    kill(folder)
    (folder / "histograms.hlog").unlink()
    metrics = open_run(folder).report.targets[0].metrics
    assert metrics["chunk_gap_ms"].count == 0
    assert {k: v for k, v in metrics.items() if k != "chunk_gap_ms"} == {
        k: v for k, v in report.targets[0].metrics.items() if k != "chunk_gap_ms"
    }


def test_window_that_was_still_open_ends_with_the_last_answer(tmp_path: Path) -> None:
    folder, _ = write_run(tmp_path, end_ns=3600 * SECOND)
    kill(folder)
    target = open_run(folder).report.targets[0]
    last = max(s.done_ns for s in SAMPLES)
    assert target.window_s == pytest.approx((last - SECOND) / SECOND)
    ended = sum(s.window_done and s.outcome == "ok" and s.target == target.name for s in SAMPLES)
    assert target.rates.requests_per_s == pytest.approx(ended / target.window_s, rel=1e-3)


def test_run_killed_in_its_warmup_has_no_rates(tmp_path: Path) -> None:
    folder, _ = write_run(tmp_path, SAMPLES[:3], end_ns=3600 * SECOND)
    kill(folder)
    target = open_run(folder).report.targets[0]
    assert target.window_s == 0
    assert target.rates.requests_per_s is None
    assert target.requests.phases["warmup"] == {"ok": 2}


KILLED = """
import sys, time
from pathlib import Path
import msgspec
from tests.results.saved import SAMPLES, STARTED, state
from loadgen.results.folder import RunFolder

folder = RunFolder.create(Path(sys.argv[1]), "coding", STARTED)
folder.write_header(msgspec.json.encode(state(folder.id, complete=False)))
for i in range(10**9):
    folder.append(msgspec.json.encode(msgspec.structs.replace(SAMPLES[20], seq=i)) + b"\\n")
    if i % 100 == 99:
        folder.flush()
        time.sleep(0.001)
    if i == 2000:
        print("going", flush=True)
"""


def test_run_killed_while_it_writes_is_read_back(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "going\n"
        process.send_signal(signal.SIGKILL)
    run = open_run(tmp_path / "coding")
    got = list(run.samples())
    assert [s.seq for s in got] == list(range(len(got)))
    assert len(got) > 1000
    assert run.report.targets[0].requests.ok == len(got)


@pytest.mark.parametrize("keep_report", [True, False], ids=["report", "rebuilt"])
def test_broken_line_in_the_middle_is_named(tmp_path: Path, keep_report: bool) -> None:
    folder, _ = write_run(tmp_path)
    path = folder / "samples.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[16] = lines[16][:40] + b"\n"
    path.write_bytes(b"".join(lines))
    if not keep_report:
        (folder / "report.json").unlink()
    with pytest.raises(OutputError, match=r"samples\.jsonl:17: is not a sample"):
        list(open_run(folder).samples())


def test_samples_of_an_unknown_target_are_told(tmp_path: Path) -> None:
    folder, _ = write_run(tmp_path)
    kill(folder)
    with (folder / "samples.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(sample(7, target="foreign")) + b"\n")
    with pytest.raises(
        OutputError, match=r'samples\.jsonl: request 7: has a target that run\.json has not: "f'
    ):
        open_run(folder)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        pytest.param(None, "run.json: is missing: the run was killed before it had written", id="missing"),
        pytest.param(b'{"run": {', "run.json: can't be read: ", id="broken"),
        pytest.param(b"{}", "run.json: can't be read: Object missing required field", id="foreign"),
    ],
)
def test_killed_run_without_its_header_is_told(tmp_path: Path, header: bytes | None, told: str) -> None:
    folder, _ = write_run(tmp_path)
    kill(folder)
    (folder / "run.json").unlink()
    if header is not None:
        (folder / "run.json").write_bytes(header)
    with pytest.raises(OutputError) as e:
        open_run(folder)
    assert told in str(e.value)
