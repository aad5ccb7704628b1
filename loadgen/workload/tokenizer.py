"""Exact lengths: a model's own tokenizer, read from its tokenizer.json (the `tokenizers` extra)."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from loadgen.errors import DataError

_CHARS_PER_TOKEN: Final = 4.3  # where the search begins


class Tokenizer:
    """A `Ruler` that counts as the model does.

    A count takes some 2 ms for 1,000 tokens, and finding a length three to seven counts: the sender's own
    time, so a run had better ask for its sessions before it begins (what was found is remembered).

    Raises:
        DataError: the extra is not installed, or the file is no tokenizer.
    """

    exact = True

    def __init__(self, path: str) -> None:
        self._encode = _open(path)
        # a shared prefix or a system message is counted again with every prompt that begins with it
        self.count = functools.lru_cache(maxsize=256)(self._count)

    def _count(self, text: str) -> float:
        return len(self._encode(text, add_special_tokens=False))

    def chars(self, tokens: float, count_at: Callable[[int], float]) -> int:
        """Return how many characters make exactly so many tokens.

        Where one character more makes two tokens more, it is the number just below; 0 where nothing is left.
        """
        low, high = -1, None  # characters known to make too few and too many
        at = max(0, round(tokens * _CHARS_PER_TOKEN))
        while high is None or high - low > 1:
            counted = count_at(at)
            off = round(tokens - counted)
            if off == 0:
                return at
            if off > 0:
                low = at
            else:
                high = at
            at += round(off * max(at, _CHARS_PER_TOKEN) / max(counted, 1.0)) or (1 if off > 0 else -1)
            if not low < at < (at + 1 if high is None else high):
                at = low + 1 if high is None else (low + high) // 2
        return max(0, low)


def _open(path: str) -> Callable[..., Any]:
    try:
        import tokenizers  # noqa: PLC0415 - an extra; 30 MB that a run without it should not load
    except ImportError:
        raise DataError(
            path,
            "needs the tokenizers library",
            "pip install 'loadgen[tokenizers]', or leave out `tokenizer`",
        ) from None
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(path, f"can't be read ({error.strerror})") from error
    try:
        opened = tokenizers.Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises plain Exception
        raise DataError(path, f"is not a tokenizer.json ({error})", "take the model's own file") from error
    # as saved for training, it may cut or fill every text to one length
    opened.no_truncation()
    opened.no_padding()
    encode: Callable[..., Any] = opened.encode
    return encode
