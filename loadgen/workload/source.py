"""From the `[workload]` tables of a scenario to its prompts."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from loadgen.errors import ScenarioError
from loadgen.scenario.words import Workload
from loadgen.workload import text
from loadgen.workload.azure import open_azure
from loadgen.workload.burstgpt import open_burstgpt
from loadgen.workload.code import Code
from loadgen.workload.draw import by_session, by_turn, draw, draw_times
from loadgen.workload.humaneval import HumanEvalPrompts
from loadgen.workload.inline import InlinePrompts
from loadgen.workload.jsonl import JsonlPrompts
from loadgen.workload.made import Kind, MadePrompts, Synthetic
from loadgen.workload.mooncake import MooncakePrompts
from loadgen.workload.opening import Opening
from loadgen.workload.parts import Parts
from loadgen.workload.prompt import Conversation, Int64s, Prompts, Turn, joined, user
from loadgen.workload.prose import CHARS_PER_TOKEN, Prose
from loadgen.workload.ruler import Estimate, Ruler
from loadgen.workload.sharegpt import ShareGptPrompts
from loadgen.workload.text import TextMaker
from loadgen.workload.tokenizer import Tokenizer

# streams of by_session and by_turn; the sources' own are below 16 or beside these
_OUTPUT_TOKENS, _THINK, _LATER_OUTPUT, _MIXTURE = 16, 18, 21, 22
_SEED_STEP: Final = 0x9E3779B97F4A7C15  # parts of a mixture draw from seeds of their own


class Source(Protocol):
    """Conversations as their source gives them: the same for every target, without a mark. See `Prompts`."""

    count: int | None
    contents_digest: str
    set_aside: dict[str, int]

    @property
    def arrivals_ns(self) -> Int64s | None:
        """See `Prompts`."""
        ...

    def conversation(self, session: int) -> Conversation:
        """Return a session (0-based)."""
        ...


KINDS: Final[dict[str, Callable[[int], Kind]]] = {"code": Code, "prose": Prose, "synthetic": Synthetic}

_READERS: Final[dict[str, Callable[[Workload, int, int | None, TextMaker], Source]]] = {
    "prompts": lambda workload, seed, _context, _text: InlinePrompts(workload, seed),
    "jsonl": JsonlPrompts,
    "sharegpt": ShareGptPrompts,
    "humaneval": HumanEvalPrompts,
    "mooncake": MooncakePrompts,
    "azure": open_azure,
    "burstgpt": open_burstgpt,
}
_SHARING: Final = "mooncake"  # its rows share text on purpose
_SPOKEN: Final = frozenset({"chat", "responses"})  # endpoints that take messages; to others texts go bare


def decide_salt(workload: Workload) -> Workload:
    """Return the workload with its salt decided: a fresh random one of 8 hex characters for `true`.

    A string and `false` stay. Written into the run's scenario, it makes another run send the same bytes.
    """
    if workload.salt is not True:
        return workload
    return msgspec.structs.replace(workload, salt=secrets.token_hex(4))


def open_prompts(
    workloads: Sequence[Workload],
    seed: int,
    *,
    context: int | None = None,
    endpoints: Sequence[str] = ("chat",),
) -> Prompts:
    """Open the prompts of workloads whose salt is decided (see `decide_salt`).

    context: the tokens that a prompt and its answer may have together; None: no bound.
    endpoints: the kind of each target; one beyond them gets what the first gets, for which lengths hold.
    In a mixture, which one a session belongs to is drawn by weight, from the seed and its number alone; it
    then has that number within its workload too. A mixture never ends: files begin again.

    Raises:
        DataError: a file (or the interpreter's library) can't be read or is broken; names the lines.
        ScenarioError: a prompt is beyond the context; the weights of a mixture sum to nothing.
        ValueError: a salt is not decided.
    """
    if any(workload.salt is True for workload in workloads):
        raise ValueError("decide_salt comes before open_prompts")
    if len(workloads) == 1:
        return _Part(workloads[0], 0, seed, context, endpoints)
    return _Mixture(workloads, seed, context, endpoints)


def is_bare(workload: Workload, endpoint: str) -> bool:
    """Return whether an endpoint gets the text of first turns without messages around it.

    A conversation needs messages; a completions endpoint gets them joined.
    """
    return endpoint not in _SPOKEN and (endpoint != "completions" or workload.turns is None)


def ruler_of(workload: Workload, chars_per_token: float) -> Ruler:
    """Return what measures a workload's texts. chars_per_token: the estimate of its kind of text."""
    if workload.tokenizer is not None:
        return Tokenizer(workload.tokenizer)
    return Estimate(workload.chars_per_token or chars_per_token)


class _Part:
    """One workload: its source's conversations with what the scenario adds to them.

    The scenario's `output_tokens` stands before a cap that the file gives.
    """

    def __init__(
        self, workload: Workload, number: int, seed: int, context: int | None, endpoints: Sequence[str]
    ) -> None:
        self._endpoints = endpoints
        self._caps, self._later_caps = _caps(workload, seed)
        self._think, self._pause = _thinking(workload, seed)
        self._exact_output = workload.ignore_eos
        self._tools = definitions(workload)
        self._results = {tool.name: tool.result for tool in workload.tools}
        self._risk = workload.risk
        self._image = {k: v for k, v in msgspec.to_builtins(workload.image_output, enc_hook=int).items() if v}
        self._batch = int(workload.batch)
        self._source, self._opening = self._open(workload, number, seed, context)
        count = self._source.count
        self.count = count and -(-count // self._batch)
        self.contents_digest = self._source.contents_digest
        if {"skipped", "clipped"} & self._source.set_aside.keys():  # the context decides what is left
            self.contents_digest = _both(self.contents_digest, context)
        self._parts: Parts | None = None
        if workload.images is not None or workload.audio is not None:
            self._parts = Parts(workload, seed)
            if self._parts.files_digest:
                self.contents_digest = _both(self.contents_digest, self._parts.files_digest)
        self.set_aside = self._source.set_aside
        self._adds = 0 if workload.source in KINDS else self._opening.shared_tokens

    def _open(
        self, workload: Workload, number: int, seed: int, context: int | None
    ) -> tuple[Source, Opening]:
        if workload.source in KINDS:
            kind = KINDS[workload.source](seed)
            self._chars_per_token = workload.chars_per_token or kind.chars_per_token
            ruler = ruler_of(workload, kind.chars_per_token)
            opening = Opening(workload, number, seed, TextMaker(seed, ruler, kind.piece), rows=None)
            made = MadePrompts(
                kind,
                workload,
                seed,
                ruler=ruler,
                opening=opening,
                cap=self._cap,
                context=context,
                bare=is_bare(workload, self._endpoints[0]),
            )
            return made, opening
        self._chars_per_token = workload.chars_per_token or CHARS_PER_TOKEN  # people's own words
        ruler = ruler_of(workload, text.CHARS_PER_TOKEN)
        maker = TextMaker(seed, ruler, overhead_tokens=_overhead(workload, ruler))
        source = _READERS[workload.source](workload, seed, context, maker)
        rows = (
            len(source.arrivals_ns)
            if workload.source == _SHARING and source.arrivals_ns is not None
            else None
        )
        return source, Opening(workload, number, seed, maker, rows=rows)

    @property
    def arrivals_ns(self) -> Int64s | None:
        return self._source.arrivals_ns

    def _cap(self, session: int) -> int | None:
        return self._caps(session) if self._caps else None

    def conversation(self, session: int, target: int) -> Conversation:
        """Return a session of a target."""
        endpoint = self._endpoints[target if target < len(self._endpoints) else 0]
        said = self._source.conversation(session * self._batch)
        first, *later = said.turns
        if first.body is not None:
            pass
        elif endpoint in _SPOKEN or (endpoint == "completions" and later):
            asked = first.asked_prompt_tokens
            messages = self._opening.dress(first.messages, session, target)
            first = msgspec.structs.replace(
                first,
                messages=self._parts.added(messages, session, target) if self._parts else messages,
                asked_prompt_tokens=None if asked is None else asked + self._adds,
                asked_output_tokens=self._caps(session) if self._caps else first.asked_output_tokens,
                fill=None,
            )
        else:
            first, later = self._bare(endpoint, first, session, target), []
        turns = (first, *self._answered(session, later)) if later else (first,)
        return msgspec.structs.replace(
            said,
            turns=turns,
            risk=self._risk,
            chars_per_token=self._chars_per_token,
            exact_output=self._exact_output,
            tools=self._tools or said.tools,
            results=self._results or said.results,
            pause_ns=self._pause(session) if self._pause else 0,
        )

    def _bare(self, endpoint: str, first: Turn, session: int, target: int) -> Turn:
        """Return the only turn of an endpoint that takes texts."""
        turns, most = [first], self._source.count
        if endpoint == "embeddings":
            end = session * self._batch + self._batch
            numbers = range(session * self._batch + 1, end if most is None else min(most, end))
            turns += [self._source.conversation(number).turns[0] for number in numbers]
        cuts = [turn.fill or (joined(turn.messages), "") for turn in turns]
        if endpoint != "completions":
            cuts = [("".join(cut), "") for cut in cuts]
        dressed = [self._opening.dress([user(before)], session, target) for before, _ in cuts]
        asked = [turn.asked_prompt_tokens for turn in turns]
        cap = self._caps(session) if self._caps else first.asked_output_tokens
        return Turn(
            dressed[0],
            asked_prompt_tokens=sum(n + self._adds for n in asked if n is not None) or None,
            asked_output_tokens=cap if endpoint == "completions" else None,
            fill=(joined(dressed[0]), cuts[0][1]) if endpoint == "completions" else None,
            inputs=tuple(map(joined, dressed)) if endpoint == "embeddings" else (),
            image=self._image if endpoint == "images" else None,
        )

    def _answered(self, session: int, later: list[Turn]) -> list[Turn]:
        """Give later turns their caps and think times."""
        caps = self._later_caps(session, len(later)) if self._later_caps else None
        times = self._think(session, len(later)) if self._think else None
        return [
            msgspec.structs.replace(
                turn,
                asked_output_tokens=caps[i] if caps and turn.body is None else turn.asked_output_tokens,
                think_ns=times[i] if times else turn.think_ns,
            )
            for i, turn in enumerate(later)
        ]


def _both(digest: str, more: object) -> str:
    return hashlib.sha256(f"{digest} {more}".encode()).hexdigest()


class _Mixture:
    """Several workloads by weight."""

    count: int | None = None
    arrivals_ns: Int64s | None = None

    def __init__(
        self, workloads: Sequence[Workload], seed: int, context: int | None, endpoints: Sequence[str]
    ) -> None:
        weights = np.array([workload.weight for workload in workloads])
        if not weights.sum() > 0:
            raise ScenarioError("workload", "the weights sum to nothing", "give one a weight above 0")
        shares = weights / weights.sum()
        self._parts = [
            _Part(
                msgspec.structs.replace(w, on_end="cycle"),
                i,
                (seed + i * _SEED_STEP) % 2**63,
                context,
                endpoints,
            )
            for i, w in enumerate(workloads)
        ]
        self._which = by_session(lambda rng, n: rng.choice(len(shares), size=n, p=shares), seed, _MIXTURE)
        digests = "".join(part.contents_digest for part in self._parts)
        self.contents_digest = hashlib.sha256(digests.encode()).hexdigest()
        self.set_aside: dict[str, int] = {}
        for part in self._parts:
            for what, n in part.set_aside.items():
                self.set_aside[what] = self.set_aside.get(what, 0) + n

    def conversation(self, session: int, target: int) -> Conversation:
        """Return a session of a target."""
        part: _Part = self._parts[self._which(session)]
        return part.conversation(session, target)


def _caps(
    workload: Workload, seed: int
) -> tuple[Callable[[int], int] | None, Callable[[int, int], list[int]] | None]:
    """Return the answer's cap of first turns, by session, and those of later ones; None: none asked."""
    lengths = workload.output_tokens
    if lengths is None:
        return None, None
    first = by_session(lambda rng, n: draw(lengths, rng, n), seed, _OUTPUT_TOKENS)
    return first, by_turn(lambda rng, n: draw(lengths, rng, n), seed, _LATER_OUTPUT)


def _thinking(
    workload: Workload, seed: int
) -> tuple[Callable[[int, int], list[int]] | None, Callable[[int], int] | None]:
    """Return the times before later turns, and the one after a conversation, in ns; None: none asked."""
    times = workload.think_time
    if times is None:
        return None, None
    between = by_turn(lambda rng, n: draw_times(times, rng, n), seed, _THINK)
    return between, by_session(lambda rng, n: draw_times(times, rng, n), seed, _THINK)


def _overhead(workload: Workload, ruler: Ruler) -> float:
    """Return the tokens of a made first turn beyond its text, where a file says how long it was."""
    system = ruler.count(workload.system) if workload.system else 0.0
    if not ruler.exact:
        return system if workload.overhead_tokens is None else workload.overhead_tokens
    mark = ruler.count(f"[{workload.salt}-00000000-00] ") if workload.salt else 0.0
    return (workload.overhead_tokens or 0.0) + system + mark


def definitions(workload: Workload) -> list[dict[str, Any]]:
    """Return a workload's tools as OpenAI's `tools` has them."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters or {"type": "object", "properties": {}},
            },
        }
        for tool in workload.tools
    ]
