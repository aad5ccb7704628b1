"""Tool calls of the simulated model: which tool, with which arguments, token by token."""

import random
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

    def piece(self, index: int, word: str) -> str:
        """Return what token `index` (from 1 on) adds to the arguments; `word` is the corpus' token there."""
        if index == 1:
            return f'{{{_json(self.key)}:"'
        return '"}' if index == self.tokens - 1 else _json(word)[1:-1]

    def opening(self, *, arguments: str = "") -> dict[str, Any]:
        """Return the call as OpenAI's first piece of it has it, and with all arguments as its messages do."""
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": arguments},
        }


def decide_call(offer: Offer, draw: random.Random) -> Call | None:
    """Decide whether the answer is a call: where it has to be one always, else every other time."""
    functions = offer.functions
    share, pick = draw.random(), draw.randrange(len(functions))
    length = draw.randint(FEWEST_TOKENS, MOST_TOKENS)
    if share >= SHARE_OF_CALLS and not offer.must and offer.name is None:
        return None
    function = next((f for f in functions if f.name == offer.name), functions[pick])
    identity = f"call_{draw.getrandbits(64):016x}"
    return Call(identity, function.name, _text_key(function.parameters), length)


def _text_key(schema: dict[str, Any] | None) -> str:
    """Return the first property of a JSON Schema that takes a text; `input` where none says that it does."""
    properties = (schema or {}).get("properties")
    for name, kind in properties.items() if isinstance(properties, dict) else ():
        if isinstance(kind, dict) and kind.get("type") == "string":
            return str(name)
    return "input"


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
