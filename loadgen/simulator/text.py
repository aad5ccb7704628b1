"""What the simulator says, how long, and how it counts: all from the seed and the request's content.

The same seed, model, messages and `seed` field give the same answer, in any order of requests.
"""

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from loadgen.engine.cache import BLOCK_TOKENS
from loadgen.simulator.messages import CHARS_PER_TOKEN, Offer

# Answers without a cap: log-normal, this median and sigma, within 1 .. LONGEST_TOKENS.
MEDIAN_TOKENS: Final = 180
SIGMA: Final = 0.7
LONGEST_TOKENS: Final = 4096
REASONING_SIGMA: Final = 0.4  # of the log-normal factor on what a profile says of reasoning

SHARE_OF_CALLS: Final = 0.5  # of user messages that a model free to choose answers with a call
FEWEST_CALL_TOKENS: Final = 3  # the name, the beginning and the end of the arguments
MOST_CALL_TOKENS: Final = 15

_CORPUS_TOKENS: Final = 1 << 15
_WORDS: Final = (
    "The| a| of| to| and| in| is| for| that| with| it| as| on| this| be| are| by| value| list| first| server"
    "| token| request| queue| latency| rate| time| each| when| then| which| returns| because| while| so"
    "| small| large| new| same| next| last| before| after| only| also| never| usually| about| naïve| café"
    "|extract|ing|ed|ly|.|,|:|;| →| “|”"
)
_CODE: Final = (
    " def| return| if| else| not| None| True| =| +|==|()|[|]|[0]|{|}| (|)|\n|\n\n|\n    |\n        | self"
    '|.items| len|(x|, y|(n| import| from| class| async| await| result| count| index| 0| 1| 2| 10|_ns|"|\\'
)
_VOCABULARY: Final = tuple(f"{_WORDS}|{_CODE}".split("|"))


@dataclass(frozen=True, slots=True)
class Call:
    """A call of one tool. Its arguments are an object with one key, whose value is words of the corpus.

    tokens: how many it takes when nothing cuts it off: the first is the name, the second the beginning of
    the arguments, the last their end, those between are words.
    """

    id: str
    name: str
    key: str
    tokens: int

    def arguments(self, words: Sequence[bytes]) -> list[bytes]:
        """Return what each token adds to the arguments: the first nothing. words: of the corpus, there."""
        key = msgspec.json.encode(self.key).decode()
        pieces = ["", f'{{{key}:"', *(word.decode() for word in words[2:])][: len(words)]
        if len(words) == self.tokens:
            pieces[-1] = '"}'
        return [msgspec.json.encode(piece)[1:-1] for piece in pieces]  # JSON in a JSON string

    def opening(self, *, arguments: str) -> dict[str, Any]:
        """Return the call as OpenAI's messages have it."""
        function = {"name": self.name, "arguments": arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Plot:
    """What an answer will be, decided from the request alone.

    offset: where in the corpus it starts. free_tokens: its length where nothing caps it, without
    reasoning_tokens, which come before. call: the answer is a call of a tool, not a text.
    """

    offset: int
    free_tokens: int
    reasoning_tokens: int = 0
    call: Call | None = None


def prompt_blocks(prompt: str, prompt_tokens: int) -> list[int]:
    """Return the full blocks of a prompt, as the engine's prefix cache takes them."""
    blocks: list[int] = []
    start = block = 0
    for i in range(1, prompt_tokens // BLOCK_TOKENS + 1):
        end = int(i * BLOCK_TOKENS * CHARS_PER_TOKEN)
        block = hash((block, prompt[start:end]))
        blocks.append(block)
        start = end
    return blocks


class Corpus:
    """One long seeded text of tokens, which every answer is a piece of: cutting costs next to nothing."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        escaped = [msgspec.json.encode(token)[1:-1] for token in _VOCABULARY]
        self._tokens = random.Random(seed).choices(escaped, k=_CORPUS_TOKENS)  # noqa: S311 - no secret

    def plot(
        self, model: str, seed: int | None, content: object, offer: Offer | None, effort_tokens: int = 0
    ) -> Plot:
        """Decide the answer to a request. effort_tokens: median of the reasoning before it; 0 is none."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(msgspec.json.encode((self.seed, model, seed, content)))
        draw = random.Random(digest.digest())  # noqa: S311 - no secret
        free = round(draw.lognormvariate(math.log(MEDIAN_TOKENS), SIGMA))
        offset = draw.randrange(_CORPUS_TOKENS)
        call = _decide_call(offer, draw) if offer else None
        reasoning = draw.lognormvariate(0, REASONING_SIGMA) * effort_tokens
        return Plot(
            offset=offset,
            free_tokens=call.tokens if call else min(max(free, 1), LONGEST_TOKENS),
            reasoning_tokens=math.ceil(reasoning),
            call=call,
        )

    def tokens(self, offset: int, count: int) -> list[bytes]:
        """Return so many tokens from `offset` on, each as the inside of a JSON string."""
        offset %= _CORPUS_TOKENS
        found = self._tokens[offset : offset + count]
        while len(found) < count:  # on from its beginning
            found += self._tokens[: count - len(found)]
        return found


def _decide_call(offer: Offer, draw: random.Random) -> Call | None:
    """Decide whether the answer is a call: where it has to be one always, else every other time."""
    share, (name, schema) = draw.random(), draw.choice(list(offer.functions.items()))
    length = draw.randint(FEWEST_CALL_TOKENS, MOST_CALL_TOKENS)
    if share >= SHARE_OF_CALLS and not offer.must:
        return None
    identity = f"call_{draw.getrandbits(64):016x}"
    return Call(identity, name, _text_key(schema), length)


def _text_key(schema: dict[str, Any] | None) -> str:
    """Return the first property of a JSON Schema that takes a text; `input` where none says that it does."""
    properties = (schema or {}).get("properties")
    for name, kind in properties.items() if isinstance(properties, dict) else ():
        if isinstance(kind, dict) and kind.get("type") == "string":
            return str(name)
    return "input"
