"""columns.npz: the samples of a run by column, for answers that need every request; from samples.jsonl."""

import contextlib
import zipfile
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadgen.measure.metrics import METRICS
from loadgen.measure.sample import Sample
from loadgen.results.folder import SAMPLES
from loadgen.results.read import read_samples

COLUMNS: Final = "columns.npz"
_VERSION: Final = 2
# few values each: numbered
_NAMES: Final = ("target", "task", "level", "phase", "outcome", "route", "status", "worker")


class Columns(NamedTuple):
    """The requests of a run in the order in which they were intended; all arrays have shape (requests,).

    names: the values of each of target, task, level, phase, outcome, route, status and worker, as text ("":
    none); codes: which of them, by the same keys. turn: of the conversation, from 0. intended_ns, done_ns:
    offsets from the epoch; sent_ns: -1 where nothing was sent. cost_usd: NaN where it is not known. file:
    where the metrics are, read when they are asked for.
    """

    names: dict[str, list[str]]
    codes: dict[str, NDArray[np.int32]]
    turn: NDArray[np.int32]
    intended_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    done_ns: NDArray[np.int64]
    cost_usd: NDArray[np.float64]
    file: Any

    def metric(self, name: str) -> NDArray[np.float64]:
        """Return a metric of every request in its reported unit, NaN where it does not apply.

        Raises:
            KeyError: there is no such metric.
        """
        scale = next((m.scale for m in METRICS if m.name == name), None)
        if scale is None:
            raise KeyError(name)
        values: NDArray[np.float64] = self.file[name].astype(np.float64) * scale
        return values

    def where(self, **wanted: str) -> NDArray[np.bool_]:
        """Return which requests have these values, such as target="ours", phase="measure"."""
        found = np.ones(len(self.turn), np.bool_)
        for key, value in wanted.items():
            names = self.names[key]
            found &= self.codes[key] == (names.index(value) if value in names else -1)
        return found


def read_columns(folder: Path) -> Columns:
    """Read the columns of a run; made anew where the file is missing, of another version or of other samples.

    Raises:
        OutputError: samples.jsonl is missing, or a line in its middle is broken.
    """
    path, samples = folder / COLUMNS, folder / SAMPLES
    size = samples.stat().st_size if samples.exists() else 0
    with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile, msgspec.DecodeError):
        file = np.load(path, allow_pickle=False)
        head = msgspec.json.decode(file["head"].tobytes())
        if (head["version"], head["size"]) == (_VERSION, size):
            return _columns(head["names"], file)
    names, arrays = _gather(read_samples(samples))
    head = msgspec.json.encode({"version": _VERSION, "size": size, "names": names})
    _write(path, {"head": np.frombuffer(head, np.uint8)} | arrays)
    return _columns(names, arrays)


def _write(path: Path, arrays: dict[str, Any]) -> None:
    """Write the file, or nothing: where a folder can only be read, or is full, it is made anew each time."""
    part = path.with_name(f".{COLUMNS}.part")
    try:
        with part.open("wb") as out:
            np.savez(out, **arrays)
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()


def _columns(names: dict[str, list[str]], file: Any) -> Columns:
    codes = {key: file[f"code_{key}"] for key in _NAMES}
    return Columns(
        names,
        codes,
        file["turn"],
        file["intended_ns"],
        file["sent_ns"],
        file["done_ns"],
        file["cost_usd"],
        file,
    )


def _gather(samples: Iterable[Sample]) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Read all samples once; metrics are kept as float32 in the histograms' units (exact to 6e-8)."""
    numbers: dict[str, dict[str | int, int]] = {key: {} for key in _NAMES}
    codes = {key: array("i") for key in _NAMES}
    metrics = [array("f") for _ in METRICS]
    turns = array("i")
    intended, sent, done, usd = array("q"), array("q"), array("q"), array("d")
    nan = float("nan")
    tables = [(key, numbers[key], codes[key].append) for key in _NAMES]
    rows = [(metric.value, column.append) for metric, column in zip(METRICS, metrics, strict=True)]
    for sample in samples:
        for key, table, append_code in tables:
            value = getattr(sample, key)
            append_code(table.setdefault("" if value is None else value, len(table)))
        turns.append(sample.turn)
        intended.append(sample.intended_ns)
        sent.append(-1 if sample.sent_ns is None else sample.sent_ns)
        done.append(sample.done_ns)
        usd.append(nan if sample.cost_usd is None else sample.cost_usd)
        for value_of, append in rows:
            value = value_of(sample)
            append(nan if value is None else value)
    order = np.argsort(np.frombuffer(intended, np.int64), kind="stable")
    arrays: dict[str, Any] = {f"code_{key}": np.frombuffer(codes[key], np.int32)[order] for key in _NAMES}
    arrays |= {
        "turn": np.frombuffer(turns, np.int32)[order],
        "intended_ns": np.frombuffer(intended, np.int64)[order],
        "sent_ns": np.frombuffer(sent, np.int64)[order],
        "done_ns": np.frombuffer(done, np.int64)[order],
        "cost_usd": np.frombuffer(usd, np.float64)[order],
    }
    arrays |= {m.name: np.frombuffer(c, np.float32)[order] for m, c in zip(METRICS, metrics, strict=True)}
    return {key: list(map(str, table)) for key, table in numbers.items()}, arrays
