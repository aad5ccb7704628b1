"""The short cut through a stream: a run of events that differ in one JSON string only.

The first such event is parsed in full and becomes a template (the bytes before and after that string); the
events that follow it are then split in one step and only the strings are parsed. This is exact: the
template is proven by parsing it with an empty string in place, and a run counts only if its strings, parsed
as one JSON array, are strings and exactly as many as the pieces: a piece that holds more has more quotes,
hence more strings, unless another ends in a backslash and hides the quote after it; then each is parsed on
its own.
"""

import re
from functools import lru_cache
from itertools import accumulate, count
from operator import add
from typing import Final, NamedTuple

import orjson

from loadgen.wire.endpoints import Endpoint, Piece
from loadgen.wire.event import fields, loads

_NEEDLE: Final = 16


class Template(NamedTuple):
    """What stands before and after the one string that differs. answer: whether it is (else reasoning)."""

    prefix: bytes
    suffix: bytes
    answer: bool


def prove(raw: bytes, piece: Piece, endpoint: Endpoint) -> Template | None:
    """Return the template of an event if it is proven that only its text can differ.

    The proof is the same event with an empty string: no output may be left, and nothing else may change.
    """
    if bool(piece.answer) == bool(piece.reasoning) or piece.finish or piece.usage:
        return None
    if raw.endswith(b"\r"):  # where such an event ends depends on the byte that follows
        return None
    text = piece.answer or piece.reasoning
    silent = piece._replace(answer="", reasoning="")
    for found in _text_pattern(endpoint.text_keys).finditer(raw):
        if found.start(1) < _NEEDLE or loads(b'"' + found[1] + b'"') != text:
            continue
        prefix, suffix = raw[: found.start(1)], raw[found.end(1) :]
        other = fields(prefix + suffix)[1]
        if other is not None and endpoint.read(loads(other)) == silent:
            return Template(prefix, suffix, bool(piece.answer))
    return None


def split(data: bytes, pos: int, template: Template) -> tuple[list[int], list[str]] | None:
    """Split the events that fit the template, the first of which begins at `pos`.

    Returns the offset after each event, and its text; None when the first does not fit.
    """
    prefix, suffix, _ = template
    between = suffix + prefix
    # a short needle is found several times faster than a long one; what it skips is checked after
    needle, rest = prefix[-_NEEDLE:], between[:-_NEEDLE]
    body = data[pos + len(prefix) :]
    *pieces, last = body.split(needle)
    cut = -len(rest)
    inner = [p[:cut] for p in pieces]
    if inner and not body.startswith(between.join(inner) + between):
        # another kind of event stands inside one of the pieces: keep what comes before it
        other = next(i for i, p in enumerate(pieces) if not p.endswith(rest))
        last = pieces[other]
        del inner[other:]
    end = last.find(suffix)
    if end >= 0:
        inner.append(last[:end])
    texts = _strings(inner)
    if not texts:
        return None
    after_first = pos + len(prefix) + len(suffix)
    return list(map(add, accumulate(map(len, inner)), count(after_first, len(between)))), texts


def _strings(pieces: list[bytes]) -> list[str] | None:
    """Parse pieces as the insides of JSON strings; None unless each is exactly one string."""
    joined = b'","'.join(pieces)
    try:
        texts: list[str] = orjson.loads(b'["' + joined + b'"]')
        "".join(texts)  # raises when one is not a string
        if b'\\","' in joined:
            texts = [orjson.loads(b'"' + piece + b'"') for piece in pieces]
    except (orjson.JSONDecodeError, TypeError):
        return None
    return texts if len(texts) == len(pieces) else None


@lru_cache
def _text_pattern(keys: tuple[str, ...]) -> re.Pattern[bytes]:
    """Find the places where one of the keys has a string value; group 1 is the string's inside."""
    names = b"|".join(re.escape(k.encode()) for k in keys)
    return re.compile(rb'"(?:' + names + rb')"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
