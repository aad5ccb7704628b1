"""Progress where no terminal is: whole lines every few seconds; and what a stalled reader costs."""

import os
import re
import threading
from pathlib import Path

import pytest

from loadgen.api import RunOptions, run
from loadgen.run import progress
from loadgen.scenario.load import load
from tests.endpoint import Endpoint, refusal, stream
from tests.program import apart_from_pytest, target, write_scenario

LINE = re.compile(
    r"[12] s (warming up|measuring|draining): (t\d): \d+ in flight, \d+ ok, \d+ failed, [\d.,]+ requests/s, "
    r"[\d.,]+ tokens/s, TTFT p50 \S+ ms, p99 \S+ ms"
)


def test_lines_of_many_targets_come_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 1)
    names = [f"t{i}" for i in range(8)]
    with Endpoint(lambda a: refusal(500, "no") if a.of_model % 9 == 8 else stream(2, gap_s=0.05)) as endpoint:
        targets = [target(name, endpoint.base_url) for name in names]
        path = write_scenario(tmp_path, *targets, load={"duration": "1700ms"})
        with apart_from_pytest():
            run(load(path), RunOptions(tmp_path / "out", probe=False, progress="lines"))
    *lines, errors = capfd.readouterr().err.splitlines()
    found = [LINE.fullmatch(line) for line in lines]
    assert [match and match[2] for match in found] == names
    assert re.fullmatch(r"  errors: \d+ http_error", errors)


@pytest.mark.parametrize("style", ["lines", "live"])
@pytest.mark.parametrize(("over_cap", "what"), [("drop", "dropped"), ("delay", "delayed"), (None, None)])
def test_what_a_cap_holds_back_is_shown(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    style: progress.Style,
    over_cap: str | None,
    what: str | None,
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 1)
    cap = {} if over_cap is None else {"max_in_flight": 1, "over_cap": over_cap}
    keys = {"rate": "20/s", "arrivals": "constant", "duration": "1700ms", "grace": "0s"}
    with Endpoint(lambda _: stream(2, first_s=0.3)) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load=keys | cap)
        with apart_from_pytest():
            run(load(path), RunOptions(tmp_path / "out", probe=False, progress=style))
    told = capfd.readouterr().err
    assert bool(what and re.search(rf"max_in_flight: .*[1-9]\d* {what}", told)) == (what is not None)
    assert ("max_in_flight" in told) == (what is not None)


def test_rates_of_a_level_that_has_just_begun_to_be_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 1)
    with Endpoint(lambda _: stream(2, gap_s=0.05)) as endpoint:
        load_keys = {"levels": [1, 2], "duration": "900ms"}
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load=load_keys)
        with apart_from_pytest():
            run(load(path), RunOptions(tmp_path / "out", probe=False, progress="lines"))
    (line,) = capfd.readouterr().err.splitlines()
    told = re.fullmatch(r"[12] s measuring at 2: a: .* ([\d.]+) requests/s, ([\d.]+) tokens/s, .*", line)
    assert told
    # two places, 50 ms an answer
    assert float(told[1]) <= 2 / 0.05
    assert float(told[2]) <= 4 * 2 / 0.05


def test_a_reader_that_stalls_stops_nothing() -> None:
    """What a full pipe does not take is dropped, messages apart; nobody waits for it."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    while True:
        try:
            os.write(write, b"x" * 65536)
        except BlockingIOError:
            break
    os.set_blocking(write, True)
    teletype = progress._Teletype(write)
    taken = [teletype.put(f"block {i}\n") for i in range(20)]
    assert taken.count(True) <= progress._MAX_QUEUED + 1
    assert teletype.put("message\n", always=True)
    text: list[bytes] = []

    def drain() -> None:
        while data := os.read(read, 65536):
            text.append(data)

    reader = threading.Thread(target=drain)
    reader.start()
    teletype.close()
    os.close(write)
    reader.join(10)
    os.close(read)
    shown = b"".join(text).lstrip(b"x").decode().splitlines()
    assert shown == [*(f"block {i}" for i in range(20) if taken[i]), "message"]
