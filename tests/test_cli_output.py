"""What the program prints where, its exit codes, and what it leaves in the run folder."""

import json
import resource
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from loadgen.simulator.process import start
from tests.endpoint import Asked, Endpoint, refusal, silence, stream
from tests.program import (
    ended_well,
    environment,
    invoke,
    loadgen,
    only_run,
    read_report,
    read_samples,
    reasons,
    target,
    write_scenario,
)

TEN = {"concurrency": 2, "requests": 10}


def test_the_table_and_the_folder(tmp_path: Path) -> None:
    """Results on standard output; where they lie on standard error; no escapes where no terminal is."""
    with Endpoint(lambda _: stream()) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load=TEN)
        done = loadgen("run", path, "--out", tmp_path / "out")
    run = only_run(tmp_path / "out")
    assert ended_well(done.returncode, tmp_path / "out")
    assert done.stderr == f"{run}\n"
    assert "requests ok" in done.stdout
    assert "\x1b" not in done.stdout
    assert (run.parent / "latest").resolve() == run
    assert {"report.json", "report.md", "samples.jsonl", "histograms.hlog", "scenario.toml"} <= {
        f.name for f in run.iterdir()
    }


@pytest.mark.parametrize("quiet", [(), ("--quiet",)], ids=["folder on standard error", "quiet"])
def test_json_is_the_report_and_nothing_else(tmp_path: Path, quiet: tuple[str, ...]) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load=TEN)
        done = loadgen("run", path, "--out", tmp_path / "out", "--json", *quiet)
    run = only_run(tmp_path / "out")
    assert ended_well(done.returncode, tmp_path / "out")
    assert done.stderr == ("" if quiet else f"{run}\n")
    assert done.stdout == (run / "report.json").read_text("utf-8")
    assert not json.loads(done.stdout)["run"]["simulated"]


def test_quiet_prints_the_table_alone(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load=TEN)
        done = invoke("run", path, "--out", tmp_path / "out", "--quiet")
    assert ended_well(done.exit_code, tmp_path / "out")
    assert done.stderr == ""
    assert "requests ok" in done.stdout


def test_the_simulator_is_named_everywhere(tmp_path: Path) -> None:
    path = write_scenario(tmp_path, target("m"), load={"concurrency": 20, "requests": 40})
    done = invoke("run", path, "--out", tmp_path / "out")
    assert ended_well(done.exit_code, tmp_path / "out")
    assert "SIMULATED" in done.stdout
    run = only_run(tmp_path / "out")
    assert "SIMULATED" in (run / "report.md").read_text("utf-8")
    report = read_report(run)
    assert report["run"]["simulated"]
    assert report["targets"][0]["simulated"]
    assert report["targets"][0]["requests"]["ok"] == 40


def _one_fails(asked: Asked) -> AsyncIterator[bytes]:
    return stream() if asked.model == "good" else refusal(500, "out of memory")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("bad",), "bad: none of 10 requests succeeded: HTTP 500: out of memory"),
        (("good", "bad"), "bad: none of 10 requests succeeded: HTTP 500: out of memory"),
        (("good",), None),
    ],
    ids=["one that fails", "one of two fails", "none fails"],
)
def test_a_target_that_only_fails(tmp_path: Path, names: tuple[str, ...], told: str | None) -> None:
    with Endpoint(_one_fails) as endpoint:
        targets = [target(name, endpoint.base_url) for name in names]
        path = write_scenario(tmp_path, *targets, load=TEN)
        done = invoke("run", path, "--out", tmp_path / "out", "--no-probe")
    verdict = read_report(only_run(tmp_path / "out"))["verdict"]
    if told is None:
        assert ended_well(done.exit_code, tmp_path / "out")
    else:
        assert done.exit_code == 4
        assert told in verdict["reasons"]
    assert (verdict["state"] == "invalid") == ("INVALID" in done.stdout) == (done.exit_code == 4)
    # an objective that could not be judged is no error of the program
    assert "Error" not in done.stderr


def test_a_window_without_requests_is_no_measurement(tmp_path: Path) -> None:
    with Endpoint(lambda a: stream() if a.number else silence()) as endpoint:
        load = {"warmup": "300ms", "duration": "200ms", "grace": "100ms"}
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load=load)
        done = invoke("run", path, "--out", tmp_path / "out", "--no-probe", "--json")
    assert done.exit_code == 4
    report = json.loads(done.stdout)
    assert report["targets"][0]["requests"]["phases"]["warmup"] == {"cancelled": 1}
    assert report["verdict"]["state"] == "invalid"
    assert reasons(report) == ["a: no request began in the measurement window: make it longer"]


def _limit(most_bytes: int) -> Callable[[], None]:
    def before() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a full disk sends no signal

    return before


@pytest.mark.parametrize(
    ("most_bytes", "load"),
    [(20_000, {"concurrency": 2, "duration": "60s"}), (9_000, {"requests": 3})],
    ids=["in the run", "in the reports"],
)
def test_a_full_disk(tmp_path: Path, most_bytes: int, load: dict[str, object]) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load=load)
        done = loadgen("run", path, "--out", tmp_path / "out", "--no-probe", before=_limit(most_bytes))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    run = only_run(tmp_path / "out")
    assert line.startswith(f"Error: {run}")
    assert "File too large" in line
    samples = read_samples(run)
    assert len(samples) >= 3
    assert all(s["outcome"] == "ok" for s in samples[:3])
    assert not list(run.glob(".*.part"))


SECRET = "sk-0123456789abcdef"  # nobody's


def _repeats_the_key(asked: Asked) -> AsyncIterator[bytes]:
    return (
        stream()
        if asked.number % 2
        else refusal(401, f"bad key {asked.headers['authorization']} {asked.path}")
    )


def test_no_secret_in_any_file_or_line(tmp_path: Path) -> None:
    with Endpoint(_repeats_the_key) as endpoint:
        keys = {"api_key_env": "LLM_KEY", "query": {"code": {"env": "LLM_CODE"}}}
        made = target("a", endpoint.base_url, **keys)
        path = write_scenario(tmp_path, made, load=TEN, report={"formats": ["html", "markdown", "csv"]})
        env = environment(LLM_KEY=SECRET, LLM_CODE="c0de/+secret")
        done = loadgen("run", path, "--out", tmp_path / "out", "--no-probe", env=env)
        assert {a.headers["authorization"] for a in endpoint.asked} == {f"Bearer {SECRET}"}
        assert all(a.path.endswith("?code=c0de%2F%2Bsecret") for a in endpoint.asked)
    assert ended_well(done.returncode, tmp_path / "out")
    run = only_run(tmp_path / "out")
    assert sum(s["outcome"] == "http_error" for s in read_samples(run)) == 5
    written = [f.read_bytes().decode("utf-8", "replace") for f in run.iterdir()]
    for text in (*written, done.stdout, done.stderr):
        assert SECRET not in text
        assert "c0de" not in text


def test_the_runs_own_scenario_repeats_the_run(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        path = write_scenario(
            tmp_path,
            target("a", endpoint.base_url, extra_body={"temperature": 0.5}),
            target("b", endpoint.base_url),
            load={"requests": 4},
        )
        args = ("--no-probe", "--seed", "3", "--set", "targets.a.extra_body.top_p=0.9")
        invoke("run", path, "--out", tmp_path / "one", *args)
        first = only_run(tmp_path / "one")
        invoke("run", first / "scenario.toml", "--out", tmp_path / "two", "--no-probe")
        second = only_run(tmp_path / "two")
        bodies = [json.dumps(a.body, sort_keys=True) for a in endpoint.asked]
    assert len(set(bodies)) == 8
    assert sorted(bodies[:8]) == sorted(bodies[8:])
    assert read_report(first)["run"]["digest"] == read_report(second)["run"]["digest"]


def test_a_rerun_says_that_it_met_a_warm_cache(tmp_path: Path) -> None:
    """Its own scenario sends the same bytes; with a salt of its own it is cold again."""
    words = {"source": "synthetic", "prompt_tokens": 600, "output_tokens": 2, "chars_per_token": 4.0}
    path = write_scenario(tmp_path, target("gpt-5.5"), load={"requests": 4, "concurrency": 2}, workload=words)

    def run(scenario: Path, name: str, *args: str) -> tuple[Path, bool]:
        out = tmp_path / name
        done = invoke(
            "run", scenario, "--base-url", simulator.base_url, "--out", out, "--yes", "--no-probe", *args
        )
        found = read_report(only_run(out))["targets"][0]["cached_before"]
        said = [reason for reason in reasons(read_report(only_run(out))) if "server's cache" in reason]
        assert bool(said) == (found is not None and found > 0.5) == ("the salt is that of" in done.stdout)
        return only_run(out) / "scenario.toml", bool(said)

    with start() as simulator:
        own, warm = run(path, "first")
        assert not warm
        assert run(own, "again")[1]
        assert not run(own, "anew", "--set", "workload.salt=true")[1]
        assert not run(own, "mine", "--set", "workload.salt=mine")[1]  # a first time
        assert "(the salt is given: a cache may know it)" in invoke("check", own).stdout
        assert "the salt is given" not in invoke("check", path).stdout


def test_base_url_and_models_of_the_command_line(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        path = write_scenario(tmp_path, target("a"), load=TEN)
        args = ("--base-url", endpoint.base_url, "--model", "x", "--model", "y", "--requests", "3")
        done = invoke("run", path, "--out", tmp_path / "out", "--json", *args)
        models = [a.model for a in endpoint.asked]
    assert ended_well(done.exit_code, tmp_path / "out")
    assert sorted(models) == ["x"] * 4 + ["y"] * 4  # each with its probe
    assert [t["name"] for t in json.loads(done.stdout)["targets"]] == ["x", "y"]


def test_check_sends_nothing(tmp_path: Path) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        keys = {"api_key_env": "NO_SUCH_KEY"}
        path = write_scenario(tmp_path, target("a", endpoint.base_url, **keys), target("b"), load=TEN)
        done = invoke("check", path, "--duration", "5s")
        assert endpoint.connections == 0
    assert (done.exit_code, done.stderr) == (0, "")
    for told in (
        f"a: a at {endpoint.base_url}",
        "the environment variable NO_SUCH_KEY is not set: a run would stop there; export NO_SUCH_KEY=...",
        "b: b at built-in simulator (SIMULATED)",
        "ends after 5s or 10 sessions for each target, whichever is first",
        "at most 20 in the window",
        "2 sessions at any time for each target (closed loop)",
    ):
        assert told in done.stdout
    assert {f.name for f in tmp_path.iterdir()} == {"s.toml", "prompts.jsonl"}


@pytest.mark.parametrize(
    ("load", "option"),
    [({"duration": "5s"}, ("--requests", "10")), ({"requests": 10}, ("--duration", "5s"))],
    ids=["--requests", "--duration"],
)
def test_a_count_and_a_time_both_hold(
    tmp_path: Path, load: dict[str, object], option: tuple[str, ...]
) -> None:
    path = write_scenario(tmp_path, target("a", "http://127.0.0.1:9/v1"), load=load)
    done = invoke("check", path, *option)
    assert "ends after 5s or 10 sessions, whichever is first" in done.stdout


def test_check_warns_of_a_base_url_without_path(tmp_path: Path) -> None:
    urls = {
        "a": "http://127.0.0.1:9/",
        "b": "http://127.0.0.1:9/v1",
        "c": "http://127.0.0.1:9/openai",
        "d": None,
    }
    path = write_scenario(tmp_path, *(target(name, url) for name, url in urls.items()), load=TEN)
    done = invoke("check", path)
    assert done.exit_code == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    (note,) = [i for i, line in enumerate(lines) if "has no path" in line]
    assert lines[note] == "note: base_url has no path, and most servers answer below /v1"
    assert lines[note - 1].endswith("a: a at http://127.0.0.1:9")


def test_check_knows_what_limits_a_run(tmp_path: Path) -> None:
    keys = {"source": "jsonl", "file": "prompts.jsonl", "on_end": "stop"}
    limited = target("a", "http://127.0.0.1:9/v1", max_connections=3)
    load = {"concurrency": 20, "duration": "5s"}
    path = write_scenario(tmp_path, limited, target("b"), load=load, workload=keys)
    done = invoke("check", path)
    assert done.exit_code == 0, done.stderr
    assert "up to 23 at a time in all" in done.stdout
    assert "at most 100 in all: then the prompts are used up" in done.stdout


def test_check_prints_the_schema() -> None:
    done = loadgen("check", "--schema")
    assert (done.returncode, done.stderr) == (0, "")
    assert "$defs" in json.loads(done.stdout)


def test_check_wants_a_scenario() -> None:
    done = loadgen("check")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Missing argument 'SCENARIO'" in done.stderr
