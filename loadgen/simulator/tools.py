"""Tool calls of the simulated model: which tool, with which arguments, token by token."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from loadgen.simulator.messages import Offer

SHARE_OF_CALLS: Final = 0.5  # of user messages that a model free to choose answers with a call
FEWEST_TOKENS: Final = 3  # the name, the beginning and the end of the arguments
MOST_TOKENS: Final = 15


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


def decide_call(offer: Offer, draw: random.Random) -> Call | None:
    """Decide whether the answer is a call: where it has to be one always, else every other time."""
    share, function = draw.random(), draw.choice(offer.functions)
    length = draw.randint(FEWEST_TOKENS, MOST_TOKENS)
    if share >= SHARE_OF_CALLS and not offer.must:
        return None
    identity = f"call_{draw.getrandbits(64):016x}"
    return Call(identity, function.name, _text_key(function.parameters), length)


def _text_key(schema: dict[str, Any] | None) -> str:
    """Return the first property of a JSON Schema that takes a text; `input` where none says that it does."""
    properties = (schema or {}).get("properties")
    for name, kind in properties.items() if isinstance(properties, dict) else ():
        if isinstance(kind, dict) and kind.get("type") == "string":
            return str(name)
    return "input"
