"""The log of true instants: what a client's measurements can be checked against."""

import os
from pathlib import Path

import msgspec

from loadgen.errors import OutputError
from loadgen.simulator.answer import Answer


class TruthLog:
    """One JSON line a request, appended when it is over, by one write; its fields: docs/simulator.md.

    Instants are `time.monotonic_ns`; on Linux `time.perf_counter_ns` reads the same clock.
    """

    def __init__(self, path: Path) -> None:
        """Open the log for appending.

        Raises:
            OutputError: it can't be written.
        """
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            what = f"can't write {path}: {error.strerror}"
            raise OutputError("--log", what, "name a file that can be written") from error

    def write(self, answer: Answer) -> None:
        """Append the line of one request."""
        sent = answer.output_tokens if answer.finish_reason else len(answer.events_ns)
        line = {
            "id": answer.response_id,
            "model": answer.ask.model,
            "received_ns": answer.received_ns,
            "events_ns": answer.events_ns,
            "last_ns": answer.events_ns[-1] if answer.events_ns else None,
            "prompt_tokens": answer.ask.prompt_tokens,
            "cached_tokens": answer.cached_tokens,
            "output_tokens": sent,
            "reasoning_tokens": min(len(answer.thoughts), sent),
            "finish_reason": answer.finish_reason,
        }
        os.write(self._file, msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
