"""Money on the command line: what a run can cost, and who is asked before it does."""

import contextlib
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint import Endpoint, stream
from tests.program import PROGRAM, ended_well, environment, invoke, target, write_scenario

DEAR: dict[str, Any] = {"input": 0.0, "output": 50_000.0}  # 4 tokens are asked for: 0.20 each
FIVE, SIX = {"concurrency": 1, "requests": 5}, {"concurrency": 1, "requests": 6}
FOREVER = {"concurrency": 1, "duration": "200ms"}
URL = "http://127.0.0.1:9/v1"


def checked(
    folder: Path, *targets: dict[str, Any], load: dict[str, Any], options: tuple[str, ...] = ()
) -> str:
    """What `check` says of money."""
    path = write_scenario(folder, *targets, load=load)
    done = invoke("check", path, *options)
    assert done.exit_code == 0, done.stderr
    text = done.stdout[done.stdout.index("\ncost ") :].splitlines()[1:]
    return "\n".join(line[13:] for line in text[: text.index(next(t for t in text if "digest" in t))])


@pytest.mark.parametrize(
    ("targets", "load", "options", "told"),
    [
        ([{"price": DEAR}], FIVE, (), "a: at most USD 1.80"),
        (
            [{"price": DEAR}],
            FIVE | {"warmup": "1s"},
            (),
            "a: no bound: as many requests as it answers, each for",
        ),
        ([{"price": DEAR}], FOREVER, (), "in all: no bound; budget.max_usd, or --max-cost, sets one"),
        (
            [{"price": DEAR}],
            FOREVER,
            ("--max-cost", "3"),
            "in all at most USD 3.00, the budget: then the run ends",
        ),
        ([{"price": DEAR}, {"price": DEAR}], FIVE, (), "in all at most USD 3.60"),
        ([{"price": DEAR}, {}], FIVE, (), "b: unknown price"),
        ([{"price": {"gpu_hour": 2.5, "gpus": 2}}], FOREVER, (), "a: USD 5.00 an hour, whatever is sent"),
        ([{"price": DEAR, "base_url": None}], FIVE, (), "a SIMULATED: at most USD 1.00"),
        (
            [{"price": DEAR}],
            {"rate": "1/s", "duration": "10s", "arrivals": "constant"},
            (),
            "a: at most USD 2.80",
        ),
    ],
    ids=["count", "warm-up", "time", "budget", "two", "unknown", "by the hour", "simulated", "open loop"],
)
def test_check_says_the_most_that_it_can_cost(
    tmp_path: Path, targets: list[dict[str, Any]], load: dict[str, Any], options: tuple[str, ...], told: str
) -> None:
    """With the probe's 16 tokens: 0.80."""
    asked = [target(name, **{"base_url": URL} | keys) for name, keys in zip("ab", targets, strict=False)]
    assert told in checked(tmp_path, *asked, load=load, options=options)


def test_hours_are_beside_what_requests_cost(tmp_path: Path) -> None:
    hours, paid = target("a", URL, price={"gpu_hour": 2.5}), target("b", URL, price=DEAR)
    assert checked(tmp_path, hours, load=FOREVER) == "a: USD 2.50 an hour, whatever is sent"
    assert checked(tmp_path, hours, paid, load=FIVE).endswith("in all at most USD 1.80")


ASKED = "and there is no terminal to ask on; add --yes, or a --max-cost of at most 1"


@pytest.mark.parametrize(
    ("keys", "load", "options", "refusal"),
    [
        ({"price": DEAR}, FOREVER, (), f"Nothing bounds what this run can cost (a), {ASKED}"),
        ({"price": DEAR}, SIX, ("--no-probe",), f"This run can cost up to USD 1.20 (a), {ASKED}"),
        ({"price": DEAR}, FOREVER, ("--max-cost", "7"), f"This run can cost up to USD 7.00 (a), {ASKED}"),
        ({"price": DEAR}, FOREVER, ("--yes",), None),
        ({"price": DEAR}, FOREVER, ("--max-cost", "1"), None),
        ({"price": {"input": 1.0, "output": 1.0}}, SIX, (), None),
        ({"price": {"gpu_hour": 100.0}}, FOREVER, (), None),
        ({"model": "gpt-5.4"}, FOREVER, (), None),
        ({}, FOREVER, (), None),
    ],
    ids=[
        "no bound",
        "a bound above 1 USD",
        "a budget above 1 USD",
        "yes",
        "a budget of 1 USD",
        "little",
        "by the hour",
        "a name of the catalogue, here",
        "no price",
    ],
)
def test_who_cannot_be_asked(
    tmp_path: Path, keys: dict[str, Any], load: dict[str, Any], options: tuple[str, ...], refusal: str | None
) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url) | keys, load=load)
        done = invoke("run", path, "--out", tmp_path / "out", *options)
        sent = len(endpoint.asked)
    if refusal is None:
        assert ended_well(done.exit_code, tmp_path / "out")
        assert sent
    else:
        assert (done.exit_code, done.stderr, done.stdout) == (2, f"Error: {refusal}\n", "")
        assert not sent
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("answer", ["y", "n", "Ctrl-C"])
def test_who_is_asked_on_a_terminal(tmp_path: Path, answer: str) -> None:
    with Endpoint(lambda _: stream()) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url, price=DEAR), load=SIX)
        master, slave = pty.openpty()
        args = [*PROGRAM, "run", str(path), "--out", str(tmp_path / "out"), "--no-probe"]
        process = subprocess.Popen(args, stdin=slave, stdout=subprocess.PIPE, stderr=slave, env=environment())
        os.close(slave)
        text = b""
        while b"[y/N]" not in text:
            text += os.read(master, 1000)
        assert not endpoint.asked
        if answer == "Ctrl-C":
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:  # it came between the question and the read, which then goes on
                process.send_signal(signal.SIGINT)
        else:
            os.write(master, f"{answer}\n".encode())
        out, _ = process.communicate(timeout=60)
        os.close(master)
        assert b"This run can cost up to USD 1.20 (a). Go on? [y/N]" in text
        if answer == "y":
            assert ended_well(process.returncode, tmp_path / "out")
            assert b"cost, USD" in out
            assert len(endpoint.asked) == 6
        else:
            assert process.returncode == (1 if answer == "n" else 130)
            assert (out, endpoint.asked) == (b"", [])
            assert not (tmp_path / "out").exists()
