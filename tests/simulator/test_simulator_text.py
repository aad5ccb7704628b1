"""The rules by which answers are made: counting, lengths, texts."""

import json
import math
import statistics

import pytest

from loadgen.simulator.api import ApiError
from loadgen.simulator.chat import read_chat
from loadgen.simulator.messages import CHARS_PER_TOKEN, ContentPart, Message, compose
from loadgen.simulator.speech import text
from loadgen.simulator.text import (
    _VOCABULARY,
    LONGEST_TOKENS,
    MEDIAN_TOKENS,
    REASONING_SIGMA,
    Corpus,
)
from loadgen.workload import code


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        pytest.param("", 1, id="empty"),
        pytest.param("abc", 1, id="short"),
        pytest.param("abcde", 2, id="rounded-up"),
        pytest.param("é" * 43, 10, id="characters-not-bytes"),
        pytest.param([ContentPart("text", "x" * 20), ContentPart("text", "x" * 23)], 10, id="parts"),
        pytest.param(None, 1, id="none"),
    ],
)
def test_prompt_tokens_are_characters_over_4_3(content: str | list[ContentPart] | None, tokens: int) -> None:
    assert compose([Message(role="user", content=content)], "", "messages").tokens == tokens


def test_prompts_are_counted_as_they_are_cut() -> None:
    assert CHARS_PER_TOKEN == code.CHARS_PER_TOKEN


def test_an_answer_depends_on_content_model_and_seeds_only() -> None:
    corpus = Corpus(1)
    plot = corpus.plot("m", None, "a", None)
    assert plot == Corpus(1).plot("m", None, "a", None)
    others = [corpus.plot("m", None, "b", None), corpus.plot("m", 2, "a", None)]
    others += [corpus.plot("n", None, "a", None), Corpus(2).plot("m", None, "a", None)]
    assert plot not in others


def test_free_lengths_follow_the_law() -> None:
    corpus = Corpus(3)
    plots = [corpus.plot("m", None, f"{i}", None, 500) for i in range(4000)]
    lengths = [plot.free_tokens for plot in plots]
    assert statistics.median(lengths) == pytest.approx(MEDIAN_TOKENS, rel=0.06)  # 4 sigma
    assert 1 <= min(lengths) < max(lengths) <= LONGEST_TOKENS
    thoughts = [math.log(plot.reasoning_tokens / 500) for plot in plots]
    assert statistics.mean(thoughts) == pytest.approx(0, abs=4 * REASONING_SIGMA / 4000**0.5 + 0.002)
    assert statistics.stdev(thoughts) == pytest.approx(REASONING_SIGMA, rel=0.05)


@pytest.mark.parametrize("offset", [0, 5, (1 << 15) - 3], ids=["start", "middle", "around-the-end"])
def test_events_and_whole_text_are_the_same(offset: int) -> None:
    corpus = Corpus(4)
    tokens = corpus.tokens(offset, 50)
    assert "".join(json.loads(b'"' + token + b'"') for token in tokens) == text(tokens)
    assert tokens == [token for i in range(50) for token in corpus.tokens(offset + i, 1)]
    assert corpus.tokens(offset, 70_000)[1 << 16 :][:50] == tokens  # longer than the corpus


def test_every_token_has_text() -> None:
    assert all(_VOCABULARY)
    assert len(_VOCABULARY) == len(set(_VOCABULARY))


def test_a_request_is_read_with_what_it_leaves_out() -> None:
    body = b'{"model": "m", "messages": [{"role": "assistant", "tool_calls": []}], "temperature": 2, "x": {}}'
    read = read_chat(body)
    assert (read.cap, read.min_tokens, read.stream, read.seed, read.effort) == (None, 0, False, None, None)
    read = read_chat(b'{"model":"m","messages":[{"role":"user","content":[]}],"max_tokens":null}')
    assert read.cap is None


def test_param_is_the_path_of_the_field() -> None:
    with pytest.raises(ApiError) as caught:
        read_chat(b'{"model": "m", "messages": [{"role": "user", "content": "a"}, {"content": "b"}]}')
    assert caught.value.param == "messages[1].role"
    assert caught.value.message == "Missing required parameter: 'messages[1].role'."
