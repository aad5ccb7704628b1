"""Conversations that are made on the spot, in any length: out of code, prose, or words."""

import functools
import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from loadgen.errors import ScenarioError
from loadgen.scenario.lengths import DEFAULT_PROMPT_TOKENS, Constant
from loadgen.scenario.words import Workload
from loadgen.workload import text
from loadgen.workload.draw import by_session, by_turn, draw
from loadgen.workload.opening import Opening
from loadgen.workload.prompt import Conversation, Int64s, Message, Turn, user
from loadgen.workload.rows import OTHER_CONTEXT
from loadgen.workload.ruler import Ruler
from loadgen.workload.text import Piece
from loadgen.workload.vocabulary import WORDS

_PROMPT_TOKENS, _LATER_TOKENS, TURNS = 1, 20, 17  # streams of by_session and by_turn
_TURN: Final = 1 << 40  # a later turn's key, apart from every session's number
_KEPT: Final = 1 << 17  # sessions whose lengths are remembered
_LOOKED_AT: Final = 16_384  # sessions whose lengths are compared with the context beforehand


class Kind(Protocol):
    """A kind of text: what a turn says, with an asked number of characters.

    chars_per_token: the estimate. fixed: what the messages of a first turn say beside the text.
    digest: hex SHA-256 of it all.
    """

    chars_per_token: float
    fixed: str
    digest: str

    @property
    def piece(self) -> Piece:
        """The bare text."""
        ...

    def cut(self, chars: int, key: int) -> tuple[str, str]:
        """Return the text of a turn: what stands before and after the place to go on (often nothing)."""
        ...

    def messages(self, cut: tuple[str, str], *, first: bool) -> list[Message]:
        """Return the messages of a turn, which hold the text."""
        ...


class _TooLong(NamedTuple):
    """A session beyond the context: its number, the tokens of its prompt and of its answer."""

    session: int
    prompt: int
    answer: int


class Synthetic:
    """Common words in no order: texts never repeat, and every tokenizer counts them alike."""

    chars_per_token = text.CHARS_PER_TOKEN
    fixed = ""

    def __init__(self, seed: int) -> None:
        self.digest = hashlib.sha256(" ".join(WORDS).encode()).hexdigest()
        self.piece = text.words(seed)

    def cut(self, chars: int, key: int) -> tuple[str, str]:
        """Return the words; nothing follows them."""
        return self.piece(max(1, chars), key), ""

    def messages(self, cut: tuple[str, str], *, first: bool) -> list[Message]:  # noqa: ARG002
        """Return the message of a turn."""
        return [{"role": "user", "content": cut[0]}]


class MadePrompts:
    """Endless conversations of one kind of text; each is a function of the seed and the session's number.

    A first turn is cut so that the whole prompt has the asked length (a shared prefix comes on top), a later
    one so that what it adds has. cap: the answer's, by session; with it, prompts are kept within `context`.
    bare: what is sent and measured is the text (each first turn's `fill`), without the messages around it.
    contents_digest: of the kind of text, and of the context where it makes prompts shorter.

    Raises:
        ScenarioError: `too_long = "fail"`, and a prompt with its answer is beyond `context`.
    """

    count: int | None = None
    arrivals_ns: Int64s | None = None

    def __init__(
        self,
        kind: Kind,
        workload: Workload,
        seed: int,
        *,
        ruler: Ruler,
        opening: Opening,
        cap: Callable[[int], int | None],
        context: int | None,
        bare: bool = False,
    ) -> None:
        self._bare = bare
        self._kind = kind
        self._task = workload.task
        self._ruler = ruler
        self._opening = opening
        self._cap = cap
        self._context = context
        self.contents_digest = kind.digest
        self.set_aside: dict[str, int] = {}
        lengths = workload.prompt_tokens or DEFAULT_PROMPT_TOKENS
        self._lengths = by_session(lambda rng, n: draw(lengths, rng, n), seed, _PROMPT_TOKENS)
        self._later = by_turn(lambda rng, n: draw(lengths, rng, n), seed, _LATER_TOKENS)
        turns = workload.turns
        self._turns = turns and by_session(lambda rng, n: draw(turns, rng, n), seed, TURNS)
        # with a tokenizer all that is said is counted, and only the chat template is beyond that
        said = 0.0 if ruler.exact else ruler.count(("" if bare else kind.fixed) + (workload.system or ""))
        self._overhead = said if workload.overhead_tokens is None else workload.overhead_tokens
        # a tokenizer's lengths take milliseconds to find: they are remembered
        self._chars = functools.lru_cache(_KEPT)(self._find_chars) if ruler.exact else self._find_chars
        beyond = None if context is None else self._beyond(context)
        if context is not None and beyond is not None:
            if workload.too_long == "fail":
                raise _too_long(workload, beyond, context)
            self.contents_digest = hashlib.sha256(f"{kind.digest} {context}".encode()).hexdigest()

    def conversation(self, session: int) -> Conversation:
        """Return a session."""
        asked = self._asked(session)
        cut = self._kind.cut(self._chars(session), session)
        messages = self._kind.messages(cut, first=True)
        turns = [Turn(messages, asked_prompt_tokens=asked + self._opening.shared_tokens, fill=cut)]
        n = self._turns(session) - 1 if self._turns else 0
        if n:
            turns += [self._next(session, i, tokens) for i, tokens in enumerate(self._later(session, n), 1)]
        return Conversation(self._task, tuple(turns))

    def _find_chars(self, session: int) -> int:
        tokens = self._asked(session) - self._overhead
        return self._ruler.chars(tokens, lambda n: self._count(n, session))

    def _asked(self, session: int) -> int:
        """Return the asked length of a first turn, without the shared prefix."""
        asked: int = self._lengths(session)
        if self._context is None:
            return asked
        left = self._context - self._opening.shared_tokens - (self._cap(session) or 0)
        return max(1, min(asked, left))

    def _count(self, chars: int, session: int) -> float:
        """Count a first turn as it is sent; the shared prefix comes on top of what is asked for."""
        cut = self._kind.cut(chars, session)
        first = [user("".join(cut))] if self._bare else self._kind.messages(cut, first=True)
        messages = self._opening.dress(first, session, 0)
        return sum(self._ruler.count(m["content"]) for m in messages) - self._opening.shared_tokens

    def _next(self, session: int, number: int, tokens: int) -> Turn:
        key = session + number * _TURN

        def make(chars: int) -> list[Message]:
            return self._kind.messages(self._kind.cut(chars, key), first=False)

        chars = self._ruler.chars(tokens, lambda n: sum(self._ruler.count(m["content"]) for m in make(n)))
        return Turn(make(chars))

    def _beyond(self, context: int) -> _TooLong | None:
        """Return the first session that is beyond the context, of those looked at."""
        for session in range(_LOOKED_AT):
            prompt: int = self._lengths(session) + self._opening.shared_tokens
            answer = self._cap(session) or 0
            if prompt + answer > context:
                return _TooLong(session, prompt, answer)
        return None


def _too_long(workload: Workload, beyond: _TooLong, context: int) -> ScenarioError:
    """Name the key that asks for most of what is too long."""
    session, prompt, answer = beyond
    key, lengths = "prompt_tokens", workload.prompt_tokens
    if answer > prompt:
        key, lengths = "output_tokens", workload.output_tokens
    lower = "lower it" if lengths is None or isinstance(lengths, Constant) else "lower its `max`"
    what = f"session {session} has {prompt:,} tokens and an answer of {answer:,}"
    clip = ', write too_long = "clip"' if answer < context else ""  # else no prompt is short enough
    remedy = f"{lower}{clip}, or {OTHER_CONTEXT}"
    return ScenarioError(f"workload.{key}", f"{what}, beyond the context of {context:,}", remedy)
