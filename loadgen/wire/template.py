"""The short cut through a stream: a run of events that differ in one JSON string only.

The first such event is parsed in full and becomes a template (the bytes before and after that string); the
events that follow it are then split in one step and only the strings are parsed. This is exact: the
template is proven by parsing it with an empty string in place, and a run counts only if its strings, parsed
as one JSON array, are strings and exactly as many as the pieces: a piece that holds more has more quotes,
hence more strings, unless another ends in a backslash and hides the quote after it; then each is parsed on
its own.

A template holds the answer's id; with another in its place it serves the target's next answers too (`Shape`).

Where an endpoint has values that differ from event to event and that it never reads (`Endpoint.unread`: a
number, random letters), the template has places for them too, and the events are taken one after the other.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from loadgen.wire.event import fields, loads
from loadgen.wire.kind import Endpoint, Piece

_NEEDLE: Final = 16
_ID: Final = re.compile(rb'([A-Za-z0-9_-]+)"')
_NOT_PLAIN: Final = bytes([*range(32), *b'"\\'])  # a string of JSON holds others as they are (RFC 8259, 7)
_VALUE: Final = re.compile(rb'(?:0|[1-9][0-9]*|"[A-Za-z0-9]*")')


class Template(NamedTuple):
    """What stands before and after the one string that differs. answer: whether it is (else reasoning).

    around: where values differ that nobody reads, all that is the same: before the string and after it, with
    a value between each two; else None. prefix is then the first of it.
    """

    prefix: bytes
    suffix: bytes
    answer: bool
    around: tuple[list[bytes], list[bytes]] | None = None


class Shape(NamedTuple):
    """A template without the answer's id: what stands before and after that, and `Template`'s own."""

    before: bytes
    after: bytes
    suffix: bytes
    answer: bool

    def fit(self, data: bytes, pos: int) -> tuple[Template, str] | None:
        """Return an answer's template and id, by its event at `pos`; None when that has another shape."""
        if not data.startswith(self.before, pos):
            return None
        found = _ID.match(data, pos + len(self.before))
        if found is None or not data.startswith(self.after, found.end(1)):
            return None
        prefix = data[pos : found.end(1)] + self.after
        return Template(prefix, self.suffix, self.answer), found[1].decode()


class Learned:
    """What the answers of one target have in common, as far as those before have shown."""

    shape: Shape | None = None


def shape_of(template: Template, piece: Piece, endpoint: Endpoint) -> Shape | None:
    """Return the template's shape if it is proven that another id in its place changes nothing else.

    piece: what the event says that the template was made of.
    """
    name = (piece.response_id or "").encode()
    place = template.prefix.find(b'"' + name + b'"') + 1
    if template.around is not None or not place or _ID.fullmatch(name + b'"') is None:
        return None
    prefix, suffix, answer, _ = template
    shape = Shape(prefix[:place], prefix[place + len(name) :], suffix, answer)
    if name in shape.after or name in shape.suffix:
        return None
    other = fields(shape.before + b"other" + shape.after + shape.suffix)[1]
    said = piece._replace(answer="", reasoning="", response_id="other")
    return shape if other is not None and endpoint.read(loads(other)) == said else None


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
        around = None
        for key in endpoint.unread:
            if key in raw:
                around = _without(prefix, endpoint.unread), _without(suffix, endpoint.unread)
                prefix, suffix = b"0".join(around[0]), b"0".join(around[1])
                break
        other = fields(prefix + suffix)[1]
        if other is not None and endpoint.read(loads(other)) == silent:
            prefix = around[0][0] if around else prefix
            return Template(prefix, suffix, bool(piece.answer), around)
    return None


def split(data: bytes, pos: int, template: Template) -> tuple[list[int], list[int], str] | None:
    """Split the events that fit the template, the first of which begins at `pos`.

    Returns the offset after each event and the characters of its text, and the texts, joined; None
    when the first does not fit.
    """
    prefix, suffix, _, around = template
    if around is not None:
        return _one_by_one(data, pos, *around)
    between = suffix + prefix
    # a short needle is found several times faster than a long one; what it skips is checked after
    needle, rest = prefix[-_NEEDLE:], between[:-_NEEDLE]
    body = data[pos + len(prefix) :]
    pieces = body.split(needle)
    last = pieces.pop()
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
    found = characters(inner)
    if found is None:
        return None
    ends, end = [], pos
    for piece in inner:
        end += len(piece) + len(between)
        ends.append(end)
    return ends, found[0] or list(map(len, inner)), found[1]


def _one_by_one(
    data: bytes, pos: int, before: list[bytes], after: list[bytes]
) -> tuple[list[int], list[int], str] | None:
    """Split events as `split` does; those that differ in values which nobody reads fit too."""
    head, *before = before
    tail, *after = after
    inner: list[bytes] = []
    ends: list[int] = []
    while data.startswith(head, pos):
        start = _past(data, pos + len(head), before)
        end = data.find(tail, start) if start >= 0 else -1
        pos = _past(data, end + len(tail), after) if end >= 0 else -1
        if pos < 0:
            break
        inner.append(data[start:end])
        ends.append(pos)
    found = characters(inner)
    return None if found is None else (ends, found[0] or list(map(len, inner)), found[1])


def _past(data: bytes, pos: int, literals: list[bytes]) -> int:
    """Return the offset after the literals, each with a value before it; -1 when they are not there."""
    for literal in literals:
        value = _VALUE.match(data, pos)
        if value is None or not data.startswith(literal, value.end()):
            return -1
        pos = value.end() + len(literal)
    return pos


def characters(pieces: list[bytes]) -> tuple[list[int] | None, str] | None:
    """Count the characters of the insides of JSON strings, and join them; None unless each piece is one.

    The counts are None where every byte is a character.
    """
    if not pieces:
        return None
    plain = b"".join(pieces)
    if plain.isascii() and len(plain.translate(None, _NOT_PLAIN)) == len(plain):
        return None, plain.decode("ascii")
    joined = b'","'.join(pieces)
    try:
        texts: list[str] = orjson.loads(b'["' + joined + b'"]')
        whole = "".join(texts)  # raises when one is not a string
        if b'\\","' in joined:
            texts = [orjson.loads(b'"' + piece + b'"') for piece in pieces]
            whole = "".join(texts)
    except (orjson.JSONDecodeError, TypeError):
        return None
    if len(texts) != len(pieces):
        return None
    return list(map(len, texts)), whole


def _without(data: bytes, keys: tuple[bytes, ...]) -> list[bytes]:
    """Take the values of the keys out; return what is left, in pieces."""
    left, pos = [], 0
    for found in _unread_pattern(keys).finditer(data):
        left.append(data[pos : found.start(1)])
        pos = found.end(1)
    return [*left, data[pos:]]


@lru_cache
def _unread_pattern(keys: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Find the values of the keys; what looks like one inside a string has a backslash before its quote."""
    return re.compile(rb'"(?:' + b"|".join(map(re.escape, keys)) + rb')"\s*:\s*(' + _VALUE.pattern + rb")")


@lru_cache
def _text_pattern(keys: tuple[str, ...]) -> re.Pattern[bytes]:
    """Find the places where one of the keys has a string value; group 1 is the string's inside."""
    names = b"|".join(re.escape(k.encode()) for k in keys)
    return re.compile(rb'"(?:' + names + rb')"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
