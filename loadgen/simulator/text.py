"""What the simulator says, how long, and how it counts: all from the seed and the request's content.

The same seed, model, messages and `seed` field give the same answer, in any order of requests.
"""

import hashlib
import math
import random
from dataclasses import dataclass
from typing import Final

import msgspec

from loadgen.engine.cache import BLOCK_TOKENS
from loadgen.simulator.messages import CHARS_PER_TOKEN, Offer
from loadgen.simulator.tools import Call, decide_call

# Answers without a cap: log-normal, this median and sigma, within 1 .. LONGEST_TOKENS.
MEDIAN_TOKENS: Final = 180
SIGMA: Final = 0.7
LONGEST_TOKENS: Final = 4096
REASONING_SIGMA: Final = 0.4  # of the log-normal factor on what a profile says of reasoning

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
        call = decide_call(offer, draw) if offer else None
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
