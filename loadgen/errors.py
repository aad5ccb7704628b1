"""Errors of the user's making, each with the exit code of the contract and what to do about it.

The tree::

    LoadgenError              exit 1   could not run
    ├── ScenarioError         exit 2   the scenario (or an option that changes it) is wrong
    ├── DataError             exit 2   a data file the scenario names is wrong (file and line)
    ├── EndpointError         exit 1   the probe found the endpoint unusable
    ├── LimitError            exit 1   this machine does not allow the run (file descriptors, ports)
    └── OutputError           exit 1   the run folder can't be written

Failures of a *request* are not errors but values: see `loadgen.wire.timeline.Timeline.outcome`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it is, what is wrong with it, what to do."""

    place: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        head = f"{self.place}: {self.what}" if self.place else self.what
        if self.remedy and not head.endswith("..."):
            head = head.removesuffix(".")  # the words of a server often end in one
        text = f"{head}; {self.remedy}" if self.remedy else head
        return " ".join(text.split())


class LoadgenError(Exception):
    """The root: a message of one line a problem, and the exit code of the process."""

    exit_code = 1

    def __init__(self, place: str, what: str, remedy: str = "", *, more: Sequence[Problem] = ()) -> None:
        self.problems: tuple[Problem, ...] = (Problem(place, what, remedy), *more)
        super().__init__("\n".join(str(p) for p in self.problems))


class ScenarioError(LoadgenError):
    """The scenario file, or an option that changes it, is wrong. Carries every mistake found."""

    exit_code = 2

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> "ScenarioError":
        """Build one error out of all the mistakes of a file (at least one)."""
        first = problems[0]
        return cls(first.place, first.what, first.remedy, more=problems[1:])


class DataError(LoadgenError):
    """A data file is missing, empty or broken."""

    exit_code = 2


class EndpointError(LoadgenError):
    """The endpoint can't be reached, or refused the probe."""


class LimitError(LoadgenError):
    """The machine does not allow this run."""


class OutputError(LoadgenError):
    """The run folder can't be written."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant, or what there is to choose from."""
    import difflib  # noqa: PLC0415 - not for --help

    choice = list(known)
    if close := difflib.get_close_matches(word, choice, n=1, cutoff=0.7):
        return f'did you mean "{close[0]}"?'
    return f"choose from {', '.join(choice)}" if choice else ""
