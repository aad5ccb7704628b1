"""Traces made up for the test: every format, every way a row can be wrong, and rows beyond the context."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from loadgen.errors import DataError, ScenarioError
from loadgen.scenario.lengths import FilePath
from loadgen.scenario.words import Workload
from loadgen.workload.azure import open_azure
from loadgen.workload.burstgpt import open_burstgpt
from loadgen.workload.mooncake import MooncakePrompts
from loadgen.workload.rows import TracePrompts
from loadgen.workload.text import TextMaker

Format = Literal["mooncake", "azure", "burstgpt"]
TooLong = Literal["skip", "clip", "fail"]
OPEN: dict[Format, Callable[..., TracePrompts | MooncakePrompts]] = {
    "mooncake": MooncakePrompts,
    "azure": open_azure,
    "burstgpt": open_burstgpt,
}
FORMATS: tuple[Format, ...] = ("mooncake", "azure", "burstgpt")
HEADING = {
    "mooncake": "",
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n",
    "burstgpt": "Timestamp,Session ID,Elapsed time,Model,"
    "Request tokens,Response tokens,Total tokens,Log Type\n",
}
MS = 1_000_000


def row(kind: Format, at_ms: int, prompt: Any, output: Any, first_hash: int = 0) -> str:
    """Write a row of a trace; at_ms below 60,000."""
    if kind == "azure":
        return f"2023-11-16 23:59:{at_ms / 1000:010.7f},{prompt},{output}\n"
    if kind == "burstgpt":
        return f"{at_ms / 1000},,9.5,GPT-4,{prompt},{output},1,Conversation log\n"
    blocks = -(-prompt // 512) if isinstance(prompt, int) else 1
    ids = list(range(first_hash, first_hash + blocks))
    record = {"timestamp": at_ms, "input_length": prompt, "output_length": output, "hash_ids": ids}
    return json.dumps(record) + "\n"


def read(
    tmp_path: Path,
    kind: Format,
    content: str | bytes,
    *,
    context: int | None = None,
    too_long: TooLong = "fail",
    on_end: Literal["cycle", "stop"] = "cycle",
) -> TracePrompts | MooncakePrompts:
    path = tmp_path / "trace"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    workload = Workload(source=kind, file=FilePath(path), too_long=too_long, on_end=on_end)
    return OPEN[kind](workload, 7, context, TextMaker(7))


def rows_of(prompts: TracePrompts | MooncakePrompts) -> list[tuple[int, int | None, int | None]]:
    assert prompts.arrivals_ns is not None
    turns = [prompts.conversation(n).turns[0] for n in range(len(prompts.arrivals_ns))]
    return [
        (at, turn.asked_prompt_tokens, turn.asked_output_tokens)
        for at, turn in zip(prompts.arrivals_ns.tolist(), turns, strict=True)
    ]


def text_of(prompts: TracePrompts | MooncakePrompts, session: int) -> str:
    text = prompts.conversation(session).turns[0].messages[0]["content"]
    assert isinstance(text, str)
    return text


THREE = [(0, 300, 5), (250 * MS, 20, 1), (250 * MS, 2000, 800)]


def three(kind: Format) -> str:
    rows = [(5_000, 300, 5), (5_250, 20, 1), (5_250, 2000, 800)]
    return HEADING[kind] + "".join(row(kind, *values) for values in rows)


@pytest.mark.parametrize("kind", FORMATS)
def test_rows_become_arrivals_and_lengths(tmp_path: Path, kind: Format) -> None:
    prompts = read(tmp_path, kind, three(kind))
    assert rows_of(prompts) == THREE
    assert (prompts.count, prompts.set_aside) == (None, {})
    assert prompts.conversation(4).turns[0].asked_prompt_tokens == 20
    assert prompts.conversation(0).task == "completion"


@pytest.mark.parametrize("kind", FORMATS)
def test_layouts_of_a_file(tmp_path: Path, kind: Format) -> None:
    plain = three(kind)
    digests = set()
    for text in (
        plain,
        plain.rstrip("\n"),
        plain.replace("\n", "\r\n"),
        plain.replace("\n", "\r\n").rstrip("\r\n"),
        "\ufeff" + plain,
        plain + "\n \r\n",
    ):
        prompts = read(tmp_path, kind, text)
        assert rows_of(prompts) == THREE
        digests.add(prompts.contents_digest)
    assert len(digests) == 6


@pytest.mark.parametrize("kind", FORMATS)
def test_stop(tmp_path: Path, kind: Format) -> None:
    prompts = read(tmp_path, kind, three(kind), on_end="stop")
    assert prompts.count == 3
    with pytest.raises(IndexError):
        prompts.conversation(3)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_session_says_the_same(tmp_path: Path, kind: Format) -> None:
    first, second = (read(tmp_path, kind, three(kind)) for _ in range(2))
    assert [text_of(first, n) for n in (2, 0, 1)] == [text_of(second, n) for n in (2, 0, 1)]


@pytest.mark.parametrize("kind", ["azure", "burstgpt"])
def test_no_two_texts_begin_alike(tmp_path: Path, kind: Format) -> None:
    prompts = read(tmp_path, kind, three(kind))
    assert len({text_of(prompts, n)[:40] for n in range(9)}) == 9  # three times through the file


WRONG: dict[str, tuple[Any, Any, str]] = {
    "negative prompt": (-5, 3, r"-5"),
    "negative answer": (5, -3, r"-3"),
    "no answer": (5, 0, "answer of 0 tokens can't be asked for; take the row out"),
    "no prompt": (0, 5, "prompt of 0 tokens can't be asked for"),
    "a fraction": (5, 2.5, "2.5.* whole number"),
    "beyond any model": (5, 10**9, "answer of 1,000,000,000 tokens is beyond any model"),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("prompt", "output", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_length_is_named(
    tmp_path: Path, kind: Format, prompt: Any, output: Any, message: str
) -> None:
    if kind == "burstgpt" and output == 0:
        return  # there it says that the request failed
    text = HEADING[kind] + row(kind, 0, 5, 5) + row(kind, 1, prompt, output) + row(kind, 2, 5, 5)
    line = 2 if kind == "mooncake" else 3
    with pytest.raises(DataError, match=f"trace:{line}: .*{message}") as raised:
        read(tmp_path, kind, text)
    assert raised.value.exit_code == 2
    assert len(raised.value.problems) == 1


@pytest.mark.parametrize("kind", FORMATS)
def test_a_row_out_of_order_is_named(tmp_path: Path, kind: Format) -> None:
    text = HEADING[kind] + "".join(row(kind, at, 5, 5) for at in (1000, 9000, 7500, 9000, 8000))
    lines = [3, 5] if kind == "mooncake" else [4, 6]
    with pytest.raises(
        DataError, match=rf"is 1\.5 s before line {lines[0] - 1}; sort the file by time"
    ) as raised:
        read(tmp_path, kind, text)
    assert [problem.place.rpartition(":")[2] for problem in raised.value.problems] == [str(n) for n in lines]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("times", "said"),
    [
        ((0, 30, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 40), [(3, "0.025 s", 2)]),
        ((0, 10, 20, 30, 40, 5, 50, 60), [(6, "0.035 s", 5)]),
        ((0, 30, 11, 12, 13, 14, 15, 16, 17, 18, 19, 10, 40), [(3, "0.019 s", 2), (12, "0.009 s", 11)]),
        ((30, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), [(2, "0.025 s", 1)]),
    ],
    ids=["too far up", "too far down", "two swapped", "the first"],
)
def test_a_row_out_of_place_is_no_mistake_of_all_that_follow(
    tmp_path: Path, kind: Format, times: Sequence[int], said: list[tuple[int, str, int]]
) -> None:
    heading = 0 if kind == "mooncake" else 1
    with pytest.raises(DataError) as raised:
        read(tmp_path, kind, HEADING[kind] + "".join(row(kind, at, 5, 5) for at in times))
    assert [(problem.place, problem.what) for problem in raised.value.problems] == [
        (f"{tmp_path / 'trace'}:{line + heading}", f"is {time} before line {above + heading}")
        for line, time, above in said
    ]


def test_a_first_row_far_ahead_of_all_is_named(tmp_path: Path) -> None:
    rows = "".join(f"{year}-11-16 18:15:0{year % 7},5,5\n" for year in (9999, 1001, 1002))
    with pytest.raises(DataError, match=r"trace:3: is .* s before line 2") as raised:
        read(tmp_path, "azure", HEADING["azure"] + rows)
    assert len(raised.value.problems) == 1


@pytest.mark.parametrize("kind", FORMATS)
def test_a_gap_is_named(tmp_path: Path, kind: Format) -> None:
    text = HEADING[kind] + row(kind, 1, 5, 5) + "\n\n" + row(kind, 2, 5, 5)
    line = 2 if kind == "mooncake" else 3
    with pytest.raises(DataError, match=f"trace:{line}: is empty, in the middle of the trace"):
        read(tmp_path, kind, text)


@pytest.mark.parametrize("kind", FORMATS)
def test_ten_wrong_rows_are_named_at_once(tmp_path: Path, kind: Format) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path, kind, HEADING[kind] + row(kind, 0, 5, -5) * 40)
    assert len(raised.value.problems) == 10


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_without_rows(tmp_path: Path, kind: Format) -> None:
    with pytest.raises(DataError, match="trace: holds no row"):
        read(tmp_path, kind, HEADING[kind] + "\n")
    with pytest.raises(DataError, match="No such file"):
        OPEN[kind](Workload(source=kind, file=FilePath(tmp_path / "none")), 7, None, TextMaker(7))
    with pytest.raises(ScenarioError, match=f'workload.file: is missing; source = "{kind}" reads a file'):
        OPEN[kind](Workload(source=kind), 7, None, TextMaker(7))


CSV_WRONG: dict[str, tuple[Format, str | bytes, str]] = {
    "no heading": (
        "azure",
        row("azure", 0, 5, 5),
        ":1: has no column `TIMESTAMP` and no column `Con.*; its first line",
    ),
    "another trace": (
        "azure",
        three("burstgpt"),
        ":1: has no column .*; its first line has `Timestamp`, `Ses",
    ),
    "a field missing": ("azure", HEADING["azure"] + "2023-11-16 18:17:03,5\n", ":2: has 2 fields, not 3"),
    "no time": ("azure", HEADING["azure"] + ",5,5\n", ":2: has no `TIMESTAMP`"),
    "not a time": ("azure", HEADING["azure"] + "soon,5,5\n", ':2: `TIMESTAMP` "soon" is not a date and time'),
    "no length": ("azure", HEADING["azure"] + "2023-11-16 18:17:03,,5\n", ":2: has no `ContextTokens`"),
    "a word": (
        "azure",
        HEADING["azure"] + "2023-11-16 18:17:03,5,x\n",
        ":2: `GeneratedTokens` x is not a whole",
    ),
    "digits of another script": (
        "azure",
        HEADING["azure"] + "2023-11-16 18:17:03,\u0665,5\n",
        ":2: `ContextTokens` \u0665 is not a whole",
    ),
    "not UTF-8": ("azure", HEADING["azure"].encode() + b"\xff,5,5\n", ":2: is not UTF-8"),
    "seconds a word": (
        "burstgpt",
        HEADING["burstgpt"] + "nan,,,,5,5,,\n",
        ":2: `Timestamp` nan is not a number",
    ),
    "no seconds": ("burstgpt", HEADING["burstgpt"] + ",,,,5,5,,\n", ":2: has no `Timestamp`"),
    "decades": ("burstgpt", HEADING["burstgpt"] + "0,,,,5,5,,\n1e9,,,,5,5,,\n", ":3: is more than ten years"),
    "endless": (
        "burstgpt",
        HEADING["burstgpt"] + "1e308,,,,5,5,,\n",
        ":2: `Timestamp` 1e308 is not a number",
    ),
    "half a line": (
        "burstgpt",
        HEADING["burstgpt"] + '1,,,"GPT\r4",5,5,,\n2,,,"a"\r,5,5,,\n',
        ":3: is no line of CSV",
    ),
}


@pytest.mark.parametrize(("kind", "content", "message"), CSV_WRONG.values(), ids=CSV_WRONG.keys())
def test_a_broken_table(tmp_path: Path, kind: Format, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match="trace" + message):
        read(tmp_path, kind, content)


MOONCAKE_WRONG: dict[str, tuple[str, str]] = {
    "not JSON": ("{", ":2: is not JSON"),
    "a list": ("[]", ":2: is a list, not an object"),
    "no time": ('{"input_length": 5, "output_length": 5, "hash_ids": [1]}', ":2: has no `timestamp`"),
    "no length": ('{"timestamp": 9, "output_length": 5, "hash_ids": [1]}', ":2: has no `input_length`"),
    "no hashes": ('{"timestamp": 9, "input_length": 5, "output_length": 5}', ":2: has no `hash_ids`"),
    "hashes of another length": (
        '{"timestamp": 9, "input_length": 1025, "output_length": 5, "hash_ids": [1, 2]}',
        ":2: has 2 `hash_ids`, not one for each of 3 blocks of 512 tokens",
    ),
    "hashes of words": (
        '{"timestamp": 9, "input_length": 5, "output_length": 5, "hash_ids": ["a"]}',
        ":2: `hash_ids` is not a list of whole numbers",
    ),
    "endless": (
        '{"timestamp": 1e300, "input_length": 5, "output_length": 5, "hash_ids": [1]}',
        r":2: `timestamp` 1e\+300 is too large for its unit",
    ),
    "time of words": (
        '{"timestamp": "9", "input_length": 5, "output_length": 5, "hash_ids": [1]}',
        ":2: `timestamp` is a string, not a number of milliseconds",
    ),
}


@pytest.mark.parametrize(("line", "message"), MOONCAKE_WRONG.values(), ids=MOONCAKE_WRONG.keys())
def test_a_broken_mooncake_row(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match="trace" + message):
        read(tmp_path, "mooncake", row("mooncake", 0, 5, 5) + line + "\n" + row("mooncake", 10, 5, 5))


LONG = [(0, 100, 20), (10, 126_000, 500), (20, 900, 124), (30, 901, 124), (40, 5, 3000)]
CONTEXT = 1024
FITTED: dict[TooLong, tuple[list[tuple[int, int, int]], dict[str, int]]] = {
    "skip": ([(0, 100, 20), (20, 900, 124)], {"skipped": 3}),
    "clip": ([(0, 100, 20), (10, 524, 500), (20, 900, 124), (30, 900, 124), (40, 1, 1023)], {"clipped": 3}),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("too_long", ["skip", "clip"])
def test_rows_beyond_the_context(tmp_path: Path, kind: Format, too_long: TooLong) -> None:
    text = HEADING[kind] + "".join(row(kind, *values) for values in LONG)
    prompts = read(tmp_path, kind, text, context=CONTEXT, too_long=too_long)
    expected, set_aside = FITTED[too_long]
    assert rows_of(prompts) == [(at * MS, prompt, output) for at, prompt, output in expected]
    assert prompts.set_aside == set_aside
    whole = read(tmp_path, kind, text)
    assert len(rows_of(whole)) == 5
    if too_long == "clip":  # the end is what is cut off
        assert text_of(whole, 1).startswith(text_of(prompts, 1)[:-20])


@pytest.mark.parametrize("kind", FORMATS)
def test_rows_beyond_the_context_are_named(tmp_path: Path, kind: Format) -> None:
    text = HEADING[kind] + "".join(row(kind, *values) for values in LONG)
    with pytest.raises(DataError) as raised:
        read(tmp_path, kind, text, context=CONTEXT)
    first, *more = raised.value.problems
    assert str(first).endswith(
        f"trace:{2 if kind == 'mooncake' else 3}: 126,000 + 500 tokens are beyond the context of 1,024 "
        '(so are 2 more rows); write too_long = "skip" or "clip", or give the targets a `context` of '
        "their own in place of the catalogue's"
    )
    assert len(more) == 2
    assert read(tmp_path, kind, text, context=126_500).set_aside == {}


def test_only_rows_beyond_the_context(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds only rows beyond the context of 100 tokens"):
        read(tmp_path, "mooncake", row("mooncake", 0, 500, 5), context=100, too_long="skip")


def test_skipped_rows_keep_the_time_of_the_first(tmp_path: Path) -> None:
    text = row("mooncake", 50, 5000, 5) + row("mooncake", 80, 5, 6)
    assert rows_of(read(tmp_path, "mooncake", text, context=100, too_long="skip")) == [(30 * MS, 5, 6)]


def test_failed_requests_of_burstgpt_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [(0, 0, 0), (500, 90, 0), (900, 30, 7), (950, 0, 0)]
    prompts = read(tmp_path, "burstgpt", HEADING["burstgpt"] + "".join(row("burstgpt", *r) for r in rows))
    assert rows_of(prompts) == [(900 * MS, 30, 7)]
    assert prompts.set_aside == {"failed": 3}


def test_the_older_burstgpt_is_read_alike(tmp_path: Path) -> None:
    older = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    prompts = read(
        tmp_path, "burstgpt", older + '5,ChatGPT,472,18,490,Conversation log\n45,"GPT,4",1087,230,1317,x\n'
    )
    assert rows_of(prompts) == [(0, 472, 18), (40_000 * MS, 1087, 230)]


def test_equal_hashes_are_equal_texts(tmp_path: Path) -> None:
    def line(at: int, tokens: int, ids: list[int]) -> str:
        return (
            json.dumps({"timestamp": at, "input_length": tokens, "output_length": 1, "hash_ids": ids}) + "\n"
        )

    content = line(0, 1500, [7, 8, 9]) + line(1, 1100, [7, 8, 10]) + line(2, 800, [7, 8]) + line(3, 512, [9])
    prompts = read(tmp_path, "mooncake", content)
    one, two, three_, four = (text_of(prompts, n) for n in range(4))
    shared = len(one) * 1024 // 1500
    assert one[: shared - 20] == two[: shared - 20]
    assert one[: shared + 40] != two[: shared + 40]
    assert one.startswith(three_[:-20])
    assert four[:200] in one
    assert len(one) / 1500 == pytest.approx(len(two) / 1100, rel=0.01)
    assert text_of(prompts, 4) == one
