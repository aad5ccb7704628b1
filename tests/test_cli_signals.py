"""Ctrl-C, SIGTERM and kill -9 on the real program: what has been measured is kept."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint import Asked, Endpoint, silence, stream
from tests.program import PROGRAM, environment, loadgen, only_run, read_report, read_samples, reasons, target
from tests.program import write_scenario as scenario

LOAD = {"concurrency": 3, "duration": "30s", "grace": "20s"}


def wait_for(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@contextmanager
def running(folder: Path, path: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    command = [*PROGRAM, "run", str(path), "--out", str(folder / "out"), "--no-probe", *args]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def end_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    return process.communicate(timeout=30)


def check_sums(run: Path) -> Any:
    """The report is complete and counts every line of samples.jsonl."""
    report, samples = read_report(run), read_samples(run)
    for t in report["targets"]:
        requests = t["requests"]
        mine = [s for s in samples if s["target"] == t["name"]]
        assert requests["sent"] == requests["ok"] + requests["failed"] + requests["cancelled"]
        assert requests["sent"] == sum(s["phase"] == "measure" for s in mine)
        assert sum(sum(p.values()) for p in requests["phases"].values()) == len(mine)
    return report


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_once_drains(tmp_path: Path, number: signal.Signals) -> None:
    """What is in flight gets its answer, nothing begins any more."""
    with Endpoint(lambda _: stream(3, gap_s=0.1)) as endpoint:
        path = scenario(tmp_path, target("a", endpoint.base_url), load=LOAD)
        with running(tmp_path, path) as process:
            wait_for(lambda: len(endpoint.asked) > 3, "requests")
            process.send_signal(number)
            out, err = end_of(process)
        asked = len(endpoint.asked)
    assert process.returncode == 130, err
    run = only_run(tmp_path / "out")
    assert "stopping: waiting up to 20s for what is in flight (Ctrl-C again cuts it off)" in err
    assert "Traceback" not in err
    assert "requests ok" in out
    report = check_sums(run)
    assert report["run"]["interrupted"]
    assert report["run"]["complete"]
    assert report["targets"][0]["requests"]["ok"] == asked == len(read_samples(run))
    assert report["run"]["window_s"] < 30
    assert report["verdict"]["state"] in {"suspect", "invalid"}
    assert any("interrupted by the user" in reason for reason in reasons(report))


def test_once_drops_what_waits_for_the_cap(tmp_path: Path) -> None:
    """Of an open loop: planned up to then = sent + dropped."""
    with Endpoint(lambda _: stream(2, first_s=0.2)) as endpoint:
        load = {"rate": "200/s", "duration": "30s", "grace": "20s", "max_in_flight": 2}
        path = scenario(tmp_path, target("a", endpoint.base_url), load=load)
        with running(tmp_path, path) as process:
            wait_for(lambda: len(endpoint.asked) > 2, "requests")
            process.send_signal(signal.SIGINT)
            _, err = end_of(process)
    assert process.returncode == 130, err
    report = check_sums(only_run(tmp_path / "out"))
    arrivals = report["instrument"]["arrivals"]
    assert report["targets"][0]["requests"]["dropped"] == arrivals["dropped"] > 10
    assert arrivals["planned"] == arrivals["sent"] + arrivals["dropped"]


def test_twice_cuts_off(tmp_path: Path) -> None:
    def answer(asked: Asked) -> AsyncIterator[bytes]:
        return stream(2) if asked.number < 5 else silence()

    with Endpoint(answer) as endpoint:
        path = scenario(tmp_path, target("a", endpoint.base_url), load=LOAD)
        with running(tmp_path, path) as process:
            wait_for(lambda: len(endpoint.asked) == 8, "requests")
            process.send_signal(signal.SIGINT)
            assert process.stderr
            assert "stopping" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, err = end_of(process)
    assert process.returncode == 130, err
    assert err.startswith("cutting off\n")
    run = only_run(tmp_path / "out")
    report = check_sums(run)
    assert report["targets"][0]["requests"]["outcomes"] == {"cancelled": 3, "ok": 5}
    cut = [s for s in read_samples(run) if s["outcome"] == "cancelled"]
    assert [s["error"] for s in cut] == ["cut off by the user"] * 3


def test_once_waits_no_longer_than_the_grace_time(tmp_path: Path) -> None:
    """Also in a run that its count of requests alone would end."""
    with Endpoint(lambda a: silence() if a.number > 4 else stream()) as endpoint:
        load = {"concurrency": 3, "requests": 1000, "grace": "300ms"}
        path = scenario(tmp_path, target("a", endpoint.base_url), load=load)
        with running(tmp_path, path) as process:
            wait_for(lambda: len(endpoint.asked) == 8, "requests")
            process.send_signal(signal.SIGINT)
            _, err = end_of(process)
    assert process.returncode == 130, err
    run = only_run(tmp_path / "out")
    assert check_sums(run)["targets"][0]["requests"]["outcomes"] == {"cancelled": 3, "ok": 5}
    cut = [s for s in read_samples(run) if s["outcome"] == "cancelled"]
    assert {s["error"] for s in cut} == {"cut off: still running at the end of the grace time"}


def test_a_third_time_changes_nothing(tmp_path: Path) -> None:
    """Impatient fingers do not cost the report: from the first Ctrl-C on, many more."""
    with Endpoint(lambda _: silence()) as endpoint:
        path = scenario(tmp_path, target("a", endpoint.base_url), load=LOAD)
        with running(tmp_path, path) as process:
            wait_for(lambda: len(endpoint.asked) == 3, "requests")
            while not list(tmp_path.glob("out/*/*/report.json")) and process.poll() is None:
                process.send_signal(signal.SIGINT)
                time.sleep(0.002)
            _, err = end_of(process)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert check_sums(only_run(tmp_path / "out"))["run"]["interrupted"]


TOO_SOON = "Interrupted before the load began: no run folder was written\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_in_the_probe(tmp_path: Path, number: signal.Signals) -> None:
    """There is nothing to keep; it ends at once."""
    with Endpoint(lambda _: silence()) as endpoint:
        path = scenario(tmp_path, target("a", endpoint.base_url), load=LOAD)
        command = [*PROGRAM, "run", str(path), "--out", str(tmp_path / "out")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as process:
            wait_for(lambda: len(endpoint.asked) == 1, "the probe")
            process.send_signal(number)
            _, err = end_of(process)
    assert (process.returncode, err) == (130, TOO_SOON)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("module", "told"),
    [("click.types", "Interrupted\n"), ("numpy.linalg", TOO_SOON), ("loadgen.plan.plan", TOO_SOON)],
    ids=["the program", "numpy", "the plan"],
)
def test_while_it_is_loaded(tmp_path: Path, module: str, told: str) -> None:
    """Python says on standard error what it has imported, as soon as it has."""
    path = scenario(tmp_path, target("m"), load=LOAD)
    command = [sys.executable, "-X", "importtime", *PROGRAM[1:]]
    command += ["run", str(path), "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stderr
        while module not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = end_of(process)
    said = [line for line in err.splitlines(keepends=True) if not line.startswith("import time:")]
    assert (process.returncode, "".join(said)) == (130, told)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the child is found in /proc")
def test_while_the_simulator_starts(tmp_path: Path) -> None:
    path = scenario(tmp_path, target("m"), load=LOAD)
    with running(tmp_path, path) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_for(lambda: children.read_text().split(), "the simulator")
        simulator = Path("/proc", children.read_text().split()[0])
        process.send_signal(signal.SIGINT)
        _, err = end_of(process)
    assert (process.returncode, err) == (130, TOO_SOON)
    # by our hand, or where we were too early for that, since its standard input has ended
    wait_for(lambda: not simulator.exists() or " Z " in (simulator / "stat").read_text(), "its end")
    assert not (tmp_path / "out").exists()


def test_when_the_folder_has_just_been_made(tmp_path: Path) -> None:
    """From then on it is a run that was interrupted, and its folder complete."""
    with Endpoint(lambda _: stream(3, gap_s=0.1)) as endpoint:
        path = scenario(tmp_path, target("a", endpoint.base_url), load=LOAD)
        with running(tmp_path, path) as process:
            while not (tmp_path / "out" / "s").exists():
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            _, err = end_of(process)
    assert process.returncode == 130, err
    assert check_sums(only_run(tmp_path / "out"))["run"]["interrupted"]


def test_in_the_warm_up(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        path = scenario(tmp_path, target("a", endpoint.base_url), load=LOAD | {"warmup": "20s"})
        with running(tmp_path, path, "--json") as process:
            wait_for(lambda: len(endpoint.asked) > 3, "requests")
            process.send_signal(signal.SIGINT)
            out, err = end_of(process)
    assert process.returncode == 130, err
    report = json.loads(out)
    (t,) = report["targets"]
    assert t["requests"]["sent"] == 0
    assert t["requests"]["phases"]["warmup"]["ok"] == len(endpoint.asked)
    assert t["rates"] == dict.fromkeys(t["rates"])  # no window, no rates
    assert report["verdict"]["state"] == "invalid"


def test_what_a_cap_dropped_survives_a_kill(tmp_path: Path) -> None:
    """No sample has it: run.json is kept up with it."""

    def dropped() -> int:
        """So far, as run.json has it."""
        states = [json.loads(p.read_bytes()) for p in tmp_path.glob("out/s/*/run.json")]
        return max((sum(state["dropped"].values()) for state in states), default=0)

    with Endpoint(lambda _: stream(2, first_s=0.2)) as endpoint:
        load = {"rate": "200/s", "duration": "30s", "max_in_flight": 2, "over_cap": "drop"}
        path = scenario(tmp_path, target("a", endpoint.base_url), load=load)
        with running(tmp_path, path) as process:
            wait_for(lambda: dropped() > 100, "the first second's")
            process.kill()
            process.wait()
    done = loadgen("report", only_run(tmp_path / "out"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["targets"][0]["requests"]["dropped"] == dropped() > 100


@pytest.mark.skipif(sys.platform != "linux", reason="the child is found in /proc")
def test_killed(tmp_path: Path) -> None:
    """samples.jsonl stays readable, the simulator goes too, and the report can still be made."""
    path = scenario(tmp_path, target("m"), load={"concurrency": 8, "duration": "30s"})
    out = tmp_path / "out"
    with running(tmp_path, path) as process:
        wait_for(lambda: [p for p in out.glob("s/*/samples.jsonl") if p.stat().st_size], "samples")
        wait_for(lambda: list(out.glob("s/*/run.json")), "run.json")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
    run = only_run(out)
    assert len(children) == 1
    simulator = Path(f"/proc/{children[0]}")
    wait_for(lambda: not simulator.exists() or " Z " in (simulator / "stat").read_text(), "its end")
    lines = (run / "samples.jsonl").read_bytes().splitlines(keepends=True)
    whole = [json.loads(line) for line in lines if line.endswith(b"\n")]
    assert len(whole) >= len(lines) - 1
    assert all(s["outcome"] == "ok" for s in whole)
    assert not (run / "report.json").exists()
    done = loadgen("report", run, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert not report["run"]["complete"]
    assert report["targets"][0]["requests"]["sent"] == len(whole)
    assert (run / "report.json").exists()
