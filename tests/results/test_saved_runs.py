import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadgen.errors import OutputError
from loadgen.measure.metrics import ALL_METRICS
from loadgen.results.folder import write_report
from loadgen.results.model import Verdict
from loadgen.results.read import list_runs, open_run
from tests.results.saved import SAMPLES, STARTED, TARGETS, kill, write_run


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
