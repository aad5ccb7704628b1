"""Text cut to a length without a tokenizer: a few prompts are sent, and what the server counted decides.

The model is `usage = overhead + text / chars_per_token`. Overhead is all that a prompt holds beyond the text
that is cut: the chat template, a system message, an instruction, the mark (of images and sounds it knows
nothing: they are not part of a text's length). It has a number of its own: 40
tokens are 2 % of a prompt of 2,000, and 20 % of one of 200. The shortest prompts measure it, and longer ones,
patched together from places all over the text, the characters a token. With a tokenizer only the chat
template is left to find.
"""

import re
import statistics
from collections.abc import Sequence
from typing import Final

import msgspec

from loadgen.scenario.lengths import DEFAULT_PROMPT_TOKENS
from loadgen.scenario.words import Workload
from loadgen.workload.draw import by_session, draw
from loadgen.workload.made import Kind
from loadgen.workload.opening import Opening
from loadgen.workload.prompt import Prompt, joined, user
from loadgen.workload.source import KINDS, definitions, is_bare, ruler_of
from loadgen.workload.text import TextMaker

_FIRST_SESSION: Final = 0xFFFF0000  # numbers that no run reaches, in marks as long as any
_SHORT: Final = 8
_SHORT_CHARS: Final = 20
_LONG_TOKENS: Final = 16_000  # of all long prompts together
_LONGEST_TOKENS: Final = 2_000
_FEWEST_LONG, _MOST_LONG = 8, 64
_PATCH_CHARS: Final = 500
_PATCH_KEYS: Final = 1 << 41  # apart from every session's number
_LENGTHS: Final = 23  # stream of by_session
_LOOKED_AT: Final = 64
_CUTS, _CUT_CHARS = 150, 4_000  # looked at to know the median
_PIECE: Final = re.compile(r" ?[^\W\d_]+|\d{1,3}|_+|\s+|[^\w\s]+")  # much as tokenizers begin
_SHORTEST_ANSWER: Final = {"responses": 16, "embeddings": None}  # OpenAI's refuses fewer
_TRACES: Final = frozenset({"mooncake", "azure", "burstgpt"})


class CalibrationPrompt(msgspec.Struct, frozen=True):
    """A prompt to be sent to the first target, its answer thrown away.

    workload: its number in the scenario. short: it shows the overhead; else how much text a token is.
    chars, pieces: of its text; typical: characters a piece, at the median of the workload's texts.
    counted: its tokens where a tokenizer counts them; else None.
    """

    workload: int
    short: bool
    chars: int
    pieces: int
    typical: float
    counted: float | None
    prompt: Prompt


Answer = tuple[CalibrationPrompt, int]


def calibration_prompts(
    workloads: Sequence[Workload], seed: int, *, context: int | None = None, endpoint: str = "chat"
) -> list[CalibrationPrompt]:
    """Return the prompts to send: some 24 and 16,000 tokens for each workload whose numbers are not known.

    endpoint: of the target they go to, the first; for one that makes images there are none.

    None is longer than what the run itself sends, all carry the run's mark (the salts are decided), and
    none warms a cache for it. Empty: there is nothing to measure.

    Raises:
        DataError: the tokenizer can't be read, or the interpreter's library has no source files.
    """
    prompts = []
    for number, workload in enumerate(workloads):
        if endpoint != "images" and _to_measure(workload):
            prompts += _prompts(workload, number, seed, context, endpoint)
    return prompts


def calibrated(
    workloads: Sequence[Workload], results: Sequence[tuple[CalibrationPrompt, int | None]]
) -> tuple[Workload, ...]:
    """Return the workloads with `chars_per_token` and `overhead_tokens` as measured.

    results: each prompt sent with its `usage.prompt_tokens`; None: it failed, or the server told nothing.
    What the scenario gives stays, and so does a workload of which too little came back: its estimate holds.
    """
    fitted = []
    for number, workload in enumerate(workloads):
        answers = [(p, usage) for p, usage in results if p.workload == number and usage is not None]
        short = [answer for answer in answers if answer[0].short]
        fitted.append(_fitted(workload, short, [answer for answer in answers if not answer[0].short]))
    return tuple(fitted)


def _to_measure(workload: Workload) -> bool:
    makes_text = workload.source in KINDS or workload.source in _TRACES or workload.shared_prefix is not None
    known = workload.tokenizer is not None or workload.chars_per_token is not None
    return makes_text and not (known and workload.overhead_tokens is not None)


def _prompts(
    workload: Workload, number: int, seed: int, context: int | None, endpoint: str
) -> list[CalibrationPrompt]:
    kind = KINDS[workload.source if workload.source in KINDS else "synthetic"](seed)
    ruler = ruler_of(workload, kind.chars_per_token)
    plain = msgspec.structs.replace(workload, shared_prefix=None)
    opening = Opening(plain, number, seed, TextMaker(seed, ruler, kind.piece), rows=None)
    fixed = (
        (0 if is_bare(workload, endpoint) else len(kind.fixed)) + len(workload.system or "") + _SHORT_CHARS
    )
    longest = round(_longest(workload, seed, context) * kind.chars_per_token)
    long_chars = max(_SHORT_CHARS, longest - fixed)
    longs = max(_FEWEST_LONG, min(_MOST_LONG, round(_LONG_TOKENS * kind.chars_per_token / long_chars)))
    if ruler.exact or workload.chars_per_token is not None:
        longs = 0
    typical = _typical(kind)
    patches = -(-long_chars // _PATCH_CHARS)
    found = []
    for i in range(_SHORT + longs):
        session = _FIRST_SESSION + i
        added = ""
        if i >= _SHORT:
            keys = range(_PATCH_KEYS + i * patches, _PATCH_KEYS + (i + 1) * patches)
            added = "".join(_whole_words(kind.piece(_PATCH_CHARS, key)) for key in keys)[:long_chars]
        before, after = kind.cut(_SHORT_CHARS, session)
        prompt = _prompt(workload, kind, (before + added, after), opening, endpoint=endpoint, session=session)
        said = [m["content"] for m in prompt.messages] + ([prompt.fill[1]] if prompt.fill else [])
        found.append(
            CalibrationPrompt(
                workload=number,
                short=i < _SHORT,
                chars=_SHORT_CHARS + len(added),
                pieces=len(_PIECE.findall(added)),
                typical=typical,
                counted=sum(map(ruler.count, said)) if ruler.exact else None,
                prompt=prompt,
            )
        )
    return found


def _prompt(
    workload: Workload, kind: Kind, cut: tuple[str, str], opening: Opening, *, endpoint: str, session: int
) -> Prompt:
    """Return a text as the endpoint takes it, with the shortest answer that it can be asked for."""
    before, after = cut
    if not is_bare(workload, endpoint):
        first = kind.messages(cut, first=True)
    else:
        first = [user(before if endpoint == "completions" else before + after)]
    messages = opening.dress(first, session, 0)
    return Prompt(
        messages,
        workload.task,
        asked_output_tokens=_SHORTEST_ANSWER.get(endpoint, 1),
        tools=definitions(workload),
        fill=(joined(messages), after) if is_bare(workload, endpoint) and endpoint == "completions" else None,
        inputs=(joined(messages),) if endpoint == "embeddings" else (),
    )


def _typical(kind: Kind) -> float:
    cuts = [kind.piece(_CUT_CHARS, key) for key in range(_CUTS)]
    return statistics.median(len(cut) / len(_PIECE.findall(cut)) for cut in cuts)


def _whole_words(text: str) -> str:
    """Cut a text at blanks: a word in two halves would count as more tokens than it is."""
    start, end = text.find(" "), text.rfind(" ")
    return text[start:end] if start < end else text


def _longest(workload: Workload, seed: int, context: int | None) -> int:
    """Return the tokens of a long prompt: as many as the run's own longer prompts have, within bounds."""
    longest = _LONGEST_TOKENS
    if workload.source in KINDS:
        lengths = workload.prompt_tokens or DEFAULT_PROMPT_TOKENS
        drawn = by_session(lambda rng, n: draw(lengths, rng, n), seed, _LENGTHS)
        longest = min(longest, max(drawn(i) for i in range(_LOOKED_AT)))
    return longest if context is None else min(longest, context // 2)


def _fitted(workload: Workload, short: Sequence[Answer], long: Sequence[Answer]) -> Workload:
    if not short:
        return workload
    if workload.tokenizer is not None:
        template = _middle([usage - (p.counted or 0.0) for p, usage in short])
        return msgspec.structs.replace(workload, overhead_tokens=round(max(0.0, template), 1))
    base = _middle([usage for _, usage in short])
    chars_per_token = workload.chars_per_token or _chars_per_token(base, long)
    if chars_per_token is None:
        return workload
    if workload.overhead_tokens is not None:
        return msgspec.structs.replace(workload, chars_per_token=chars_per_token)
    overhead = max(0.0, base - _SHORT_CHARS / chars_per_token)
    return msgspec.structs.replace(
        workload, chars_per_token=chars_per_token, overhead_tokens=round(overhead, 1)
    )


def _chars_per_token(base: float, long: Sequence[Answer]) -> float | None:
    """Return the characters a token at the median of the texts; None where the answers make no sense.

    base: what a short prompt counts. Cuts differ by a tenth in tokens a character, and by a third of that
    in tokens a piece (word, number, sign): pieces carry over from the cuts that were sent to all others. With
    a server that itself counts characters it is the other way round.
    """
    if not long or any(usage <= base for _, usage in long):
        return None
    by_char = [(usage - base) / (p.chars - _SHORT_CHARS) for p, usage in long]
    by_piece = [(usage - base) / p.pieces for p, usage in long]
    if _spread(by_char) <= _spread(by_piece):
        return round(1 / _middle(by_char), 4)
    return round(long[0][0].typical / _middle(by_piece), 4)


def _spread(values: Sequence[float]) -> float:
    return statistics.pstdev(values) / statistics.fmean(values)


def _middle(values: Sequence[float]) -> float:
    """Return the mean of the middle half."""
    ordered = sorted(values)
    cut = len(ordered) // 4
    return statistics.fmean(ordered[cut : len(ordered) - cut])
