"""From the `[workload]` of a scenario to its prompts."""

import secrets
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from loadgen.errors import ScenarioError
from loadgen.scenario.model import Workload
from loadgen.workload.code import CodePrompts
from loadgen.workload.draw import by_session, draw
from loadgen.workload.jsonl import JsonlPrompts
from loadgen.workload.prompt import Conversation, Int64s, Prompts
from loadgen.workload.salt import salted

_OUTPUT_TOKENS: Final = 16  # stream of by_session; the sources' own are below


class _Source(Protocol):
    """Prompts as their source gives them: the same for every target, without a mark."""

    count: int | None
    contents_digest: str
    arrivals_ns: Int64s | None
    set_aside: dict[str, int]

    def conversation(self, session: int) -> Conversation: ...


def _open_code(workload: Workload, seed: int) -> _Source:
    return CodePrompts(workload.prompt_tokens, workload.task, seed)


def _open_jsonl(workload: Workload, _seed: int) -> _Source:
    if workload.file is None:
        raise ScenarioError("workload.file", "is missing", "name the JSON Lines file to read")
    return JsonlPrompts(workload.file, workload.on_end, workload.task)


_READERS: Final[dict[str, Callable[[Workload, int], _Source]]] = {
    "code": _open_code,
    "jsonl": _open_jsonl,
}


def decide_salt(workload: Workload) -> Workload:
    """Return the workload with its salt decided: a fresh random one of 8 hex characters for `true`.

    A string and `false` stay. Written into the run's scenario, it makes another run send the same bytes.
    """
    if workload.salt is not True:
        return workload
    return msgspec.structs.replace(workload, salt=secrets.token_hex(4))


def open_prompts(workloads: Sequence[Workload], seed: int) -> Prompts:
    """Open the prompts of workloads whose salt is decided (see `decide_salt`).

    Raises:
        DataError: the file (or the interpreter's library) can't be read or is broken; names the lines.
        ValueError: the salt is not decided.
    """
    (workload,) = workloads
    if workload.salt is True:
        raise ValueError("decide_salt comes before open_prompts")
    return _ScenarioPrompts(_READERS[workload.source](workload, seed), workload, seed)


class _ScenarioPrompts:
    """A source's prompts with what the scenario adds: the answer's cap, then the mark.

    The scenario's `output_tokens` stands before a cap that the file gives.
    """

    def __init__(self, source: _Source, workload: Workload, seed: int) -> None:
        self._source = source
        self.count = source.count
        self.contents_digest = source.contents_digest
        self.arrivals_ns = source.arrivals_ns
        self.set_aside = source.set_aside
        self._salt = workload.salt
        lengths = workload.output_tokens
        self._caps = lengths and by_session(lambda rng, n: draw(lengths, rng, n), seed, _OUTPUT_TOKENS)

    def conversation(self, session: int, target: int) -> Conversation:
        said = self._source.conversation(session)
        first, *more = said.turns
        messages, cap = first.messages, first.asked_output_tokens
        if self._caps:
            cap = self._caps(session)
        if isinstance(self._salt, str):
            messages = salted(messages, self._salt, session, target)
        first = msgspec.structs.replace(first, messages=messages, asked_output_tokens=cap)
        return msgspec.structs.replace(said, turns=(first, *more))
