"""The arithmetic that lays measured beside true, on logs written by hand; bars; `--venv`'s size."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

# scripts, not a package: they find each other by the folder they stand in
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
pairing = importlib.import_module("pairing")
bars = importlib.import_module("bars")
startup = importlib.import_module("startup")

_MS = 1_000_000


def _server_logs(folder: Path) -> None:
    """Two whole answers, one cut off and one refusal."""
    instants_ms = [300, 310, 335, 345, 700, 900, 910]
    (np.array(instants_ms, dtype=np.int64) * _MS).tofile(folder / "server.events")
    (folder / "server.log").write_text(
        "response_id received first last finished events offset status request_bytes state\n"
        f"chatcmpl-0 {100 * _MS} {300 * _MS} {345 * _MS} {345 * _MS} 4 0 200 1000 done\n"
        f"chatcmpl-1 {500 * _MS} {700 * _MS} {700 * _MS} {701 * _MS} 1 4 200 1000 done\n"
        f"chatcmpl-2 {800 * _MS} {900 * _MS} {910 * _MS} 0 2 5 200 1000 cut\n"
        f"chatcmpl-3 {850 * _MS} 0 0 {851 * _MS} 0 7 429 1000 done\n"
    )


def _run_folder(folder: Path) -> Path:
    """What loadgen saw of them, as offsets from an epoch at 50 ms."""
    ok = {"outcome": "ok", "phase": "measure"}
    rows = [
        # sent 2 ms early, first token 1 ms late, last 4 ms late, longest gap 3 ms too long
        ok
        | {"response_id": "chatcmpl-0", "sent_ns": 48 * _MS, "first_token_ns": 251 * _MS}
        | {"last_token_ns": 299 * _MS, "longest_gap_ns": 28 * _MS},
        ok
        | {"response_id": "chatcmpl-1", "sent_ns": 449 * _MS, "first_token_ns": 650 * _MS}
        | {"last_token_ns": 650 * _MS, "longest_gap_ns": None},
        {"outcome": "disconnected", "response_id": "chatcmpl-2", "sent_ns": 1, "first_token_ns": 2}
        | {"last_token_ns": 3, "longest_gap_ns": 1},
        {"outcome": "rate_limited", "response_id": None, "sent_ns": 1, "first_token_ns": None},
    ]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "report.json").write_text(json.dumps({"run": {"epoch_ns": 50 * _MS}}))
    return folder


def test_errors_and_halves_of_a_hand_made_run(tmp_path: Path) -> None:
    _server_logs(tmp_path)
    found = pairing.pair(pairing.read_samples(_run_folder(tmp_path)), pairing.read_truth(tmp_path))
    assert (found.requests, found.events, found.unpaired, found.impossible) == (2, 5, 0, 0)
    assert {name: errors.tolist() for name, errors in found.errors_ms.items()} == {
        "ttft": [3.0, 1.0],
        "sent half": [2.0, 1.0],
        "receive half": [1.0, 0.0],
        "mean gap": [1.0],
        "longest gap": [3.0],
    }
    assert found.true_gaps_ms.tolist() == [10.0, 25.0, 10.0]


@pytest.mark.parametrize(
    ("change", "unpaired", "impossible"),
    [
        pytest.param(
            {"response_id": "chatcmpl-9"}, 2, 0, id="an id the server never gave, and one it misses"
        ),
        pytest.param({"response_id": "chatcmpl-1"}, 2, 1, id="the same id twice, once of another answer"),
        pytest.param({"response_id": "chatcmpl-2"}, 2, 0, id="a success that the server had cut off"),
        pytest.param({"outcome": "timeout"}, 1, 0, id="only the server calls it a success"),
        pytest.param({"sent_ns": 51 * _MS}, 0, 1, id="received before it was sent"),
        pytest.param({"first_token_ns": 249 * _MS}, 0, 1, id="first token before it was written"),
    ],
)
def test_what_does_not_fit_is_counted(
    tmp_path: Path, change: dict[str, object], unpaired: int, impossible: int
) -> None:
    _server_logs(tmp_path)
    samples = _run_folder(tmp_path) / "samples.jsonl"
    first, *others = samples.read_text().splitlines()
    samples.write_text("\n".join([json.dumps(json.loads(first) | change), *others]))
    found = pairing.pair(pairing.read_samples(tmp_path), pairing.read_truth(tmp_path))
    assert (found.unpaired, found.impossible) == (unpaired, impossible)


def test_percentile_is_a_value_that_occurred() -> None:
    values = np.arange(1.0, 11.0)
    assert [pairing.percentile(values, p) for p in (50, 90, 99, 100)] == [5.0, 9.0, 10.0, 10.0]
    assert np.isnan(pairing.percentile(np.empty(0), 50))


@pytest.mark.parametrize(
    ("figure", "missed"),
    [
        pytest.param(1.6, 0, id="on the bar is met"),
        pytest.param(1.7, 1, id="above is missed"),
        pytest.param(float("nan"), 1, id="no figure is missed"),
    ],
)
def test_bar(figure: float, missed: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = bars.Bars()
    found.at_most("ratio", figure, 1.6)
    assert found.missed == missed
    assert f"{figure:.4g}" in capsys.readouterr().out


def test_size_counts_a_file_once_however_many_names_it_has(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a").write_bytes(b"x" * 1000)
    (tmp_path / "b").hardlink_to(tmp_path / "lib" / "a")
    (tmp_path / "c").symlink_to(tmp_path / "lib")
    assert startup._size_mb(tmp_path) == 0.001
