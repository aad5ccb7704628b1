"""How every conversation of a workload begins: the mark, one of the shared texts, the system message."""

from typing import Any, Final

from loadgen.scenario.words import Workload
from loadgen.workload.draw import by_session
from loadgen.workload.prompt import Message
from loadgen.workload.salt import salted
from loadgen.workload.text import TextMaker

_POOL: Final = 19  # stream of by_session
_APART: Final = 1 << 24  # marks of one workload's shared texts, apart from another's
_KEYS: Final = 1 << 62  # keys of texts that no session has


class Opening:
    """What is put before a conversation's first messages.

    The mark stands at the very start. It is each session's own, except where sessions share their beginning
    on purpose: then it is that of the shared text, which is cold to a cache once in a run, as in real life.

    rows: of a trace whose sessions share text, their number: each time through it has one mark.
    shared_tokens: what a shared text adds to a prompt.
    """

    def __init__(
        self, workload: Workload, number: int, seed: int, text: TextMaker, *, rows: int | None
    ) -> None:
        self._salt = workload.salt
        self._system = workload.system
        self._number = number
        self._rows = rows
        self._pool: list[str] = []
        self.shared_tokens = 0
        if pool := workload.shared_prefix:
            self._pool = [text.text(pool.tokens, _KEYS + number * _APART + n) for n in range(pool.prefixes)]
            self._pick = by_session(lambda rng, n: rng.integers(0, pool.prefixes, n), seed, _POOL)
            self.shared_tokens = int(pool.tokens)

    def dress(self, messages: list[Message], session: int, target: int) -> list[Message]:
        """Return a first turn's messages with all of it; the ones given are left as they are."""
        before = []
        mark = session
        if self._pool:
            shared: int = self._pick(session)
            before.append(self._pool[shared])
            mark = self._number * _APART + shared
        elif self._rows:
            mark = self._number * _APART + session // self._rows
        if self._system is not None:
            before.append(self._system)
        if before:
            messages = _with_system(messages, "\n\n".join(before))
        return salted(messages, self._salt, mark, target) if isinstance(self._salt, str) else messages


def _with_system(messages: list[Message], text: str) -> list[Message]:
    """Put a text at the head of the system message; many chat templates allow but one."""
    first = messages[0] if messages else {}
    if first.get("role") not in {"system", "developer"}:
        return [{"role": "system", "content": text}, *messages]
    content: Any = first.get("content")
    if isinstance(content, list):
        joined: Any = [{"type": "text", "text": text}, *content]
    else:
        joined = f"{text}\n\n{content}" if content else text
    return [{**first, "content": joined}, *messages[1:]]
