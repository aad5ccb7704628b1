"""English prose that is always at hand: the language reference that Python's own help() shows."""

import hashlib
import re
from typing import Final

from loadgen.workload.prompt import Message
from loadgen.workload.ring import Ring

# An estimate. Measured on 1,000-character cuts (CPython 3.11): cl100k 4.93, DeepSeek's 4.82, the older Claude
# tokenizer 4.71 characters a token; 9 in 10 cuts lie between 4.2 and 5.4.
CHARS_PER_TOKEN: Final = 4.8

INSTRUCTION: Final = "Explain this in your own words.\n\n"

_SHORTEST_CHARS: Final = 80  # of a paragraph; what is shorter is mostly headings
_PROSE: Final = 0.92  # share of letters, blanks, commas and full stops; below that it is grammar or code
_BULLET: Final = re.compile(r"^(?:[*-]|\d+\.) +")


class Prose:
    """Cuts of one long text; every one is a function of the seed's first place and a key."""

    chars_per_token = CHARS_PER_TOKEN
    fixed = INSTRUCTION

    def __init__(self, seed: int) -> None:
        text = _read_reference()
        self.digest = hashlib.sha256((INSTRUCTION + text).encode("ascii")).hexdigest()
        ring = Ring(text, seed)
        self.piece = ring.piece

    def cut(self, chars: int, key: int) -> tuple[str, str]:
        """Return so many characters of text; nothing follows them."""
        return self.piece(chars, key), ""

    def messages(self, cut: tuple[str, str], *, first: bool) -> list[Message]:  # noqa: ARG002
        """Return the message of a turn."""
        return [{"role": "user", "content": INSTRUCTION + cut[0]}]


def _read_reference() -> str:
    """Return the paragraphs of the reference that read like prose, each once, a blank line between them."""
    # here, so that only those who ask for prose load half a megabyte of it
    from pydoc_data.topics import topics  # noqa: PLC0415

    found: dict[str, None] = {}  # in order, each once
    for name in sorted(topics):
        for paragraph in topics[name].split("\n\n"):
            text = _BULLET.sub("", " ".join(paragraph.split()))
            plain = sum(char.isalpha() or char in " .," for char in text)
            # plain ASCII only: a byte is a character then, and the estimate of characters a token holds
            if (
                len(text) >= _SHORTEST_CHARS
                and text.isascii()
                and text[-1] in ".:"
                and plain >= _PROSE * len(text)
            ):
                found[text] = None
    return "\n\n".join(found)
