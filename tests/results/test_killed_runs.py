import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from loadgen.errors import OutputError
from loadgen.measure.arrivals import Arrivals
from loadgen.measure.recorder import LevelWindow, Recorder
from loadgen.results.folder import RunFolder
from loadgen.results.model import Above, WithFailures
from loadgen.results.read import open_run
from loadgen.results.summary import metrics
from tests.results.saved import SAMPLES, SECOND, STARTED, TARGETS, kill, sample, state, write_run

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


def test_levels_groups_drops_and_arrivals_are_rebuilt(tmp_path: Path) -> None:
    """Everything that a run of an open loop with levels, tasks and turns knows, but what ended it."""
    levels = (LevelWindow("20/s", SECOND, 5 * SECOND), LevelWindow("40/s", 6 * SECOND, 12 * SECOND))
    made = [
        msgspec.structs.replace(
            s,
            level="20/s" if s.intended_ns < 5 * SECOND else "40/s",
            task="chat" if s.seq % 3 else "code",
            turn=s.session % 2,
            last_turn=s.session % 2 == 1,
        )
        for s in SAMPLES
    ]
    recorder = Recorder(TARGETS, 0, levels)
    arrivals = Arrivals()
    recorder.drop(TARGETS[0], "40/s", 3)
    for one in made:
        recorder.add(one)
        if not one.turn:
            arrivals.note(one.intended_ns, one.sent_ns or 0, one.target)
    arrivals.dropped = 3

    folder = RunFolder.create(tmp_path, "coding", STARTED)
    known = state(folder.id, complete=False, end_ns=12 * SECOND)
    known = msgspec.structs.replace(
        known,
        run=msgspec.structs.replace(known.run, open_loop=True, set_aside={"skipped": 2}),
        levels=levels,
        dropped={f"{TARGETS[0]} @ 40/s": 3},
        arrivals={"delayed": 1},
    )
    folder.write_header(msgspec.json.encode(known))
    for one in made:
        folder.append(msgspec.json.encode(one) + b"\n")
    folder.close()

    report = open_run(folder.path).report
    assert [(t.name, t.target, t.level) for t in report.targets] == [
        (f"{target} @ {level.label}", target, level.label) for target in TARGETS for level in levels
    ]
    reached_s = max(s.done_ns for s in made) / SECOND
    assert [t.window_s for t in report.targets] == pytest.approx([4, reached_s - 6] * 2)
    for found, known_of_it in zip(report.targets, recorder.targets.values(), strict=True):
        assert found.metrics == metrics(known_of_it)
        assert {(g.by, g.name) for g in found.groups} >= {("task", "chat"), ("task", "code")}
        assert sum(g.requests for g in found.groups if g.by == "turn") == found.requests.sent
        assert found.sessions is not None
        assert found.sessions.begun > 0
    assert [t.requests.dropped for t in report.targets] == [0, 3, 0, 0]
    from_plan, from_sent = (
        report.targets[1].metrics[k].with_failures for k in ("e2e_from_plan_ms", "e2e_ms")
    )
    assert isinstance(from_plan, WithFailures)
    assert isinstance(from_sent, WithFailures)
    assert from_plan.count == from_sent.count + 3
    assert isinstance(from_plan.p99, Above)
    told = arrivals.summary(None, 2, delayed=1)
    assert {key: report.instrument.arrivals[key] for key in told} == told
    assert report.run.set_aside == {"skipped": 2}


def test_samples_of_an_unknown_level_are_told(tmp_path: Path) -> None:
    folder, _ = write_run(tmp_path, [])
    kill(folder)
    with (folder / "samples.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(sample(7, level="9")) + b"\n")
    with pytest.raises(OutputError, match=r'request 7: has a level that run\.json has not: "9"'):
        open_run(folder)
