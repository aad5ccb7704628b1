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
from loadgen.simulator.api import ChatRequest
from loadgen.simulator.tools import Call, decide_call

# Prompt tokens are estimated: characters of texts and tools, divided by this, rounded up. The same estimate
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

    offset: where in the corpus it starts. free_tokens: its length where nothing caps it. call: the answer is
    a call of a tool, not a text.
    """

    prompt_tokens: int
    offset: int
    free_tokens: int
    call: Call | None = None


def prompt_blocks(request: ChatRequest, prompt_tokens: int) -> list[int]:
    """Return the full blocks of a prompt, as the engine's prefix cache takes them.

    Tools come first, then the messages, each behind a mark of its role, as in the templates of models.
    """
    text = _tools_text(request) + "".join(f"\x1e{m.role[0]}{m.text()}" for m in request.messages)
    blocks: list[int] = []
    start = block = 0
    for i in range(1, prompt_tokens // BLOCK_TOKENS + 1):
        end = int(i * BLOCK_TOKENS * CHARS_PER_TOKEN)
        block = hash((block, text[start:end]))
        blocks.append(block)
        start = end
    return blocks


def _tools_text(request: ChatRequest) -> str:
    return msgspec.json.encode(request.tools).decode() if request.tools else ""


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
        chars = len(_tools_text(request)) + sum(len(message.text()) for message in request.messages)
        draw = random.Random(digest.digest())  # noqa: S311 - no secret
        free = round(draw.lognormvariate(math.log(MEDIAN_TOKENS), SIGMA))
        offset = draw.randrange(_CORPUS_TOKENS)
        call = decide_call(request, draw)
        return Plot(
            prompt_tokens=max(1, math.ceil(chars / CHARS_PER_TOKEN)),
            offset=offset,
            free_tokens=call.tokens if call else min(max(free, 1), LONGEST_TOKENS),
            call=call,
        )

    def text(self, offset: int, tokens: int) -> str:
        """Return an answer as text."""
        return "".join(self._texts[(offset + i) % _CORPUS_TOKENS] for i in range(tokens))

    def word(self, offset: int, index: int) -> str:
        """Return token `index` of an answer."""
        return self._texts[(offset + index) % _CORPUS_TOKENS]

    def escaped(self, offset: int, index: int) -> bytes:
        """Return token `index` of an answer as the inside of a JSON string."""
        return self._escaped[(offset + index) % _CORPUS_TOKENS]
