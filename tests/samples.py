"""A sample with what every one has; tests add what theirs is about."""

from typing import Any

from loadgen.measure.sample import Sample


def made(**keys: Any) -> Sample:
    """A request of target "a" in the window, intended at 0."""
    required: dict[str, Any] = {
        "seq": 1,
        "target": "a",
        "task": "t",
        "session": 0,
        "turn": 0,
        "phase": "measure",
        "worker": 0,
        "outcome": "ok",
        "intended_ns": 0,
        "done_ns": 0,
    }
    return Sample(**required | keys)
