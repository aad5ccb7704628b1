import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from loadgen.errors import OutputError
from loadgen.measure.histogram import BUCKETS, encode, indexes
from loadgen.measure.metrics import ALL_METRICS
from loadgen.measure.recorder import Recorder
from loadgen.measure.sample import Sample
from loadgen.results.folder import RunFolder, write_report
from loadgen.results.hlog import HlogWriter
from loadgen.results.model import Report, Run, Verdict
from loadgen.results.read import list_runs, open_run
from loadgen.results.summary import RunState, TargetFacts, Vitals, Window, build_report

STARTED = datetime(2026, 11, 21, 3, 15, 0, tzinfo=UTC)
MS = 1_000_000
SECOND = 1_000 * MS
TARGETS = ("gpt-5.5", "our own, new")


def sample(i: int, **changes: Any) -> Sample:
    """Request i: sent at i x 100 ms, TTFT 200 ms, 20 tokens in 300 ms more."""
    sent = i * 100 * MS
    made = Sample(
        seq=i,
        target=TARGETS[i % 2],
        task="completion",
        session=i // 2,
        turn=0,
        phase="warmup" if i < 10 else "measure",
        worker=0,
        outcome="ok",
        status=200,
        intended_ns=sent - 50_000,
        sent_ns=sent,
        first_byte_ns=sent + 199 * MS,
        first_token_ns=sent + (200 + i % 7) * MS,
        first_answer_ns=sent + (200 + i % 7) * MS,
        last_token_ns=sent + 500 * MS,
        done_ns=sent + 501 * MS,
        prompt_tokens=100,
        output_tokens=20,
        output_chars=80,
        token_source="usage",
        events=22,
        output_events=20,
        longest_gap_ns=30 * MS,
        first_event_tokens=1.0,
        first_event_chars=4,
        window_output_tokens=20.0,
    )
    return msgspec.structs.replace(made, **changes)


def failed(i: int) -> Sample:
    none = dict.fromkeys(
        ("first_token_ns", "first_answer_ns", "last_token_ns", "output_tokens", "token_source")
    )
    return sample(
        i, outcome="http_error", status=503, error="HTTP 503: busy", window_output_tokens=0.0, **none
    )


SAMPLES = [failed(i) if i % 13 == 12 else sample(i) for i in range(100)]


def state(run_id: str, *, complete: bool, end_ns: int | None = 11 * SECOND) -> RunState:
    lag = np.zeros(BUCKETS, np.int64)
    lag[indexes(np.array([40]))] = 100
    run = Run(
        id=run_id,
        scenario="coding",
        description="",
        started_at=STARTED.isoformat(),
        wall_s=11.0,
        window_s=0.0,
        seed=7,
        workers=1,
        digest="ab",
        simulated=False,
        interrupted=False,
        complete=complete,
        host={"cpus": 2},
        labels={"build": "x"},
        load={"concurrency": 2},
        epoch_ns=123,
    )
    facts = tuple(TargetFacts(name, "m", "http://127.0.0.1:1/v1", "chat", False, False) for name in TARGETS)
    return RunState(run, facts, Window(SECOND, end_ns), Vitals(encode(lag), 0.4, 0.5), 90)


def write_run(
    out: Path, samples: list[Sample] = SAMPLES, started: datetime = STARTED, end_ns: int | None = 11 * SECOND
) -> tuple[Path, Report]:
    """Write a run as a run does; chunk gaps of 15 ms are known of the first target."""
    folder = RunFolder.create(out, "coding", started)
    recorder = Recorder(TARGETS, 0)
    writer = HlogWriter(started)
    folder.append_hlog(writer.head())
    folder.write_header(msgspec.json.encode(state(folder.id, complete=False, end_ns=end_ns)))
    gaps = np.zeros(BUCKETS, np.int64)
    gaps[indexes(np.array([15_000]))] = 19
    for one in samples:
        recorder.add(one)
        folder.append(msgspec.json.encode(one) + b"\n")
        if one.target == TARGETS[0] and one.outcome == "ok" and one.phase == "measure":
            recorder.targets[one.target].counts[-1] += gaps
            folder.append_hlog(writer.line((one.target, "chunk_gap_ms"), one.sent_ns or 0, one.done_ns, gaps))
    folder.close()
    report = build_report(state(folder.id, complete=True, end_ns=end_ns), recorder)
    write_report(folder.path, report)
    return folder.path, report


def kill(folder: Path, samples_cut: int = 0, hlog_cut: int = 0) -> None:
    """Leave what a kill -9 leaves: no report, the ends of the files missing."""
    (folder / "report.json").unlink()
    for name, cut in (("samples.jsonl", samples_cut), ("histograms.hlog", hlog_cut)):
        size = (folder / name).stat().st_size
        os.truncate(folder / name, size - cut)


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(lambda folder: folder, id="its folder"),
        pytest.param(lambda folder: folder / "report.json", id="report.json"),
        pytest.param(lambda folder: folder.parent / "latest", id="latest"),
        pytest.param(lambda folder: folder.parent / "latest" / "report.json", id="report.json of latest"),
        pytest.param(lambda folder: folder.parent, id="scenario's folder"),
    ],
)
def test_run_is_found_by(tmp_path: Path, where: Callable[[Path], Path]) -> None:
    write_run(tmp_path)
    folder, report = write_run(tmp_path, started=STARTED + timedelta(hours=1))
    run = open_run(where(folder))
    assert run.report == report
    assert run.folder.resolve() == folder
    assert not run.rebuilt
    assert not run.notes
    assert list(run.samples()) == SAMPLES


def test_scenario_folder_without_latest_gives_the_newest(tmp_path: Path) -> None:
    newest, _ = write_run(tmp_path, started=STARTED + timedelta(hours=1))
    write_run(tmp_path)
    (newest.parent / "latest").unlink()
    (newest.parent / "zz-not-a-run").mkdir()
    assert open_run(newest.parent).folder == newest


def test_report_alone_can_be_opened(tmp_path: Path) -> None:
    folder, report = write_run(tmp_path / "out")
    shutil.copy(folder / "report.json", tmp_path / "baseline.json")
    run = open_run(tmp_path / "baseline.json")
    assert run.report == report
    with pytest.raises(OutputError, match=r"samples\.jsonl: can't be read: No such file"):
        list(run.samples())


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
    assert target.rates.requests_per_s == pytest.approx(target.requests.ok / target.window_s, rel=1e-3)


def test_run_killed_in_its_warmup_has_no_rates(tmp_path: Path) -> None:
    folder, _ = write_run(tmp_path, SAMPLES[:3], end_ns=3600 * SECOND)
    kill(folder)
    target = open_run(folder).report.targets[0]
    assert target.window_s == 0
    assert target.rates.requests_per_s is None
    assert target.requests.phases["warmup"] == {"ok": 2}


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import msgspec
from test_saved_runs import SAMPLES, STARTED, state
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
    argv = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
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
    ("make", "told"),
    [
        pytest.param(lambda p: None, "there is no such run; `loadgen runs`", id="missing"),
        pytest.param(
            lambda p: p.mkdir(), "is no run folder: it has neither report.json nor run.json", id="empty"
        ),
        pytest.param(lambda p: (p / "a" / "b").mkdir(parents=True), "is no run folder", id="foreign"),
        pytest.param(lambda p: p.symlink_to("gone"), "is a link to nothing", id="dangling link"),
        pytest.param(
            lambda p: p.write_bytes(b"\x89PNG\xff\r\n"), "is no report that loadgen", id="a picture"
        ),
        pytest.param(lambda p: p.write_text("{}"), "is no report that loadgen", id="other JSON"),
        pytest.param(
            lambda p: p.write_text('{"format": 1}'), "is no report that loadgen", id="half a report"
        ),
        pytest.param(lambda p: p.write_text(""), "is no report that loadgen", id="empty file"),
    ],
)
def test_what_is_no_run_is_told(tmp_path: Path, make: Callable[[Path], object], told: str) -> None:
    path = tmp_path / "thing"
    make(path)
    with pytest.raises(OutputError) as e:
        open_run(path)
    assert str(e.value).startswith(f"{path}: {told}")
    assert e.value.exit_code == 1


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


def newer(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    report = msgspec.json.decode((folder / "report.json").read_bytes())
    report |= {"format": 2, "loadgen": "9.1"}
    change(report)
    (folder / "report.json").write_bytes(msgspec.json.encode(report))


def test_newer_format_is_read_as_far_as_known(tmp_path: Path) -> None:
    folder, report = write_run(tmp_path)

    def change(raw: dict[str, Any]) -> None:
        raw["comparison"] = [{"metric": "ttft"}]
        raw["targets"][0]["cost"] = {"usd": 1.0}
        raw["targets"][1]["metrics"]["new_ms"] = {"count": 1, "trimmed": 3}

    newer(folder, change)
    run = open_run(folder)
    assert run.report.targets[0] == report.targets[0]
    assert run.report.targets[1].metrics["new_ms"].count == 1
    (note,) = run.notes
    assert "format 2 (loadgen 9.1)" in note
    assert "left out: targets[0].cost" in note


def test_newer_format_that_only_adds_says_so(tmp_path: Path) -> None:
    folder, _ = write_run(tmp_path)
    newer(folder, lambda raw: raw.update(comparison=[]))
    (note,) = open_run(folder).notes
    assert note.endswith("what is new in it is not shown")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda raw: raw.pop("targets"), id="a part is missing"),
        pytest.param(lambda raw: raw.update(run="see elsewhere"), id="a part became another kind"),
        pytest.param(lambda raw: raw["targets"][0]["metrics"].update(x=5), id="deep inside"),
    ],
)
def test_newer_format_beyond_understanding_is_told(tmp_path: Path, change: Callable[[Any], None]) -> None:
    folder, _ = write_run(tmp_path)
    newer(folder, change)
    with pytest.raises(OutputError, match=r"report\.json: is no report .*; read it with loadgen 9\.1"):
        open_run(folder)


def test_keys_added_within_the_format_do_not_disturb(tmp_path: Path) -> None:
    folder, report = write_run(tmp_path)
    raw = msgspec.json.decode((folder / "report.json").read_bytes())
    raw["run"]["weather"] = "fine"
    (folder / "report.json").write_bytes(msgspec.json.encode(raw))
    run = open_run(folder)
    assert run.report == report
    assert not run.notes


def test_report_json_is_for_people_too_and_has_every_metric(tmp_path: Path) -> None:
    folder, _ = write_run(tmp_path)
    text = (folder / "report.json").read_text()
    assert text.startswith('{\n "format": 1,\n "loadgen": "')
    assert text.endswith("}\n")
    assert "NaN" not in text
    metrics = msgspec.json.decode(text)["targets"][0]["metrics"]
    assert list(metrics) == [m.key for m in ALL_METRICS]
    assert "p99.9" in metrics["ttft_ms"]


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    old, _ = write_run(tmp_path, started=STARTED - timedelta(days=1))
    new, report = write_run(tmp_path, started=STARTED + timedelta(days=1))
    killed, _ = write_run(tmp_path, started=STARTED)
    kill(killed)
    judged = msgspec.structs.replace(report, verdict=Verdict("valid"))
    write_report(new, judged)
    (tmp_path / "coding" / "notes").mkdir()
    (tmp_path / "a file").write_text("x")
    runs = list_runs(tmp_path)
    assert [r.id for r in runs] == [new.name, killed.name, old.name]
    assert [r.latest for r in runs] == [False, True, False]  # the killed one was started last
    first, second, _ = runs
    assert (first.verdict, first.requests, first.duration_s) == ("valid", 90, 11.0)
    assert (second.verdict, second.requests, second.targets) == ("incomplete", None, TARGETS)
    assert first.scenario == "coding"
    assert first.path == str(new)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda f: [p.unlink() for p in f.iterdir() if p.suffix == ".json"], id="samples only"),
        pytest.param(lambda f: [p.write_bytes(b"\xff{") for p in f.glob("*.json")], id="broken JSON"),
        pytest.param(lambda f: [p.write_text("[]") for p in f.glob("*.json")], id="other JSON"),
    ],
)
def test_damaged_run_is_listed_as_incomplete(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    folder, _ = write_run(tmp_path)
    damage(folder)
    (run,) = list_runs(tmp_path)
    assert (run.id, run.verdict, run.targets, run.requests) == (folder.name, "incomplete", (), None)


def test_no_folder_has_no_runs(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "none") == []
    assert list_runs(tmp_path) == []
