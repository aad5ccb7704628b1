"""What the simulator says, how long, and how it counts: all from the seed and the request's content.

The same seed, model, messages and `seed` field give the same answer, in any order of requests.
"""

import hashlib
import math
import random
from dataclasses import dataclass
from typing import Final

import msgspec

from loadgen.simulator.api import ChatRequest

# Prompt tokens are estimated: characters of all texts, divided by this, rounded up. The same estimate
# as in loadgen.workload.code, so that a prompt cut to 1,000 tokens counts as about 1,000 here.
CHARS_PER_TOKEN: Final = 4.3

# Answers without a cap: log-normal, this median and sigma, within 1 .. LONGEST_TOKENS.
MEDIAN_TOKENS: Final = 180
SIGMA: Final = 0.7
LONGEST_TOKENS: Final = 4096

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

    offset: where in the corpus it starts. free_tokens: its length where nothing caps it.
    """

    prompt_tokens: int
    offset: int
    free_tokens: int


class Corpus:
    """One long seeded text of tokens, which every answer is a piece of: cutting costs next to nothing."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._texts = random.Random(seed).choices(_VOCABULARY, k=_CORPUS_TOKENS)  # noqa: S311 - no secret
        escaped = {token: msgspec.json.encode(token)[1:-1] for token in _VOCABULARY}
        self._escaped = [escaped[token] for token in self._texts]

    def plot(self, request: ChatRequest) -> Plot:
        """Decide the answer to a request."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(msgspec.json.encode((self._seed, request.model, request.seed, request.messages)))
        chars = sum(len(text) for message in request.messages for text in message.texts())
        draw = random.Random(digest.digest())  # noqa: S311 - no secret
        free = round(draw.lognormvariate(math.log(MEDIAN_TOKENS), SIGMA))
        return Plot(
            prompt_tokens=max(1, math.ceil(chars / CHARS_PER_TOKEN)),
            offset=draw.randrange(_CORPUS_TOKENS),
            free_tokens=min(max(free, 1), LONGEST_TOKENS),
        )

    def text(self, offset: int, tokens: int) -> str:
        """Return an answer as text."""
        return "".join(self._texts[(offset + i) % _CORPUS_TOKENS] for i in range(tokens))

    def escaped(self, offset: int, index: int) -> bytes:
        """Return token `index` of an answer as the inside of a JSON string."""
        return self._escaped[(offset + index) % _CORPUS_TOKENS]
