"""The rules by which answers are made: counting, lengths, texts."""

import json
import statistics

import pytest

from loadgen.simulator.api import ApiError, ChatRequest, ContentPart, Message, read_chat_request
from loadgen.simulator.text import _VOCABULARY, CHARS_PER_TOKEN, LONGEST_TOKENS, MEDIAN_TOKENS, Corpus
from loadgen.workload import code


def request(text: str | list[ContentPart] | None, **more: object) -> ChatRequest:
    return ChatRequest(model="m", messages=[Message(role="user", content=text)], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        pytest.param("", 1, id="empty"),
        pytest.param("abc", 1, id="short"),
        pytest.param("abcde", 2, id="rounded-up"),
        pytest.param("é" * 43, 10, id="characters-not-bytes"),
        pytest.param([ContentPart("text", "x" * 20), ContentPart("text", "x" * 23)], 10, id="parts"),
        pytest.param([ContentPart("image_url"), ContentPart("text", "x" * 43)], 10, id="image"),
        pytest.param(None, 1, id="none"),
    ],
)
def test_prompt_tokens_are_characters_over_4_3(content: str | list[ContentPart] | None, tokens: int) -> None:
    assert Corpus(0).plot(request(content)).prompt_tokens == tokens


def test_prompts_are_counted_as_they_are_cut() -> None:
    assert CHARS_PER_TOKEN == code.CHARS_PER_TOKEN


def test_an_answer_depends_on_content_model_and_seeds_only() -> None:
    corpus = Corpus(1)
    plot = corpus.plot(request("a"))
    assert plot == Corpus(1).plot(request("a", stream=True, max_tokens=9))
    others = [corpus.plot(request("b")), corpus.plot(request("a", seed=2)), Corpus(2).plot(request("a"))]
    assert plot not in others


def test_free_lengths_follow_the_law() -> None:
    corpus = Corpus(3)
    lengths = [corpus.plot(request(f"{i}")).free_tokens for i in range(4000)]
    assert statistics.median(lengths) == pytest.approx(MEDIAN_TOKENS, rel=0.06)  # 4 sigma
    assert 1 <= min(lengths) < max(lengths) <= LONGEST_TOKENS


@pytest.mark.parametrize("offset", [0, 5, (1 << 15) - 3], ids=["start", "middle", "around-the-end"])
def test_events_and_whole_text_are_the_same(offset: int) -> None:
    corpus = Corpus(4)
    tokens = [json.loads(b'"' + corpus.escaped(offset, i) + b'"') for i in range(50)]
    assert "".join(tokens) == corpus.text(offset, 50)


def test_every_token_has_text() -> None:
    assert all(_VOCABULARY)
    assert len(_VOCABULARY) == len(set(_VOCABULARY))


def test_a_request_is_read_with_what_it_leaves_out() -> None:
    body = b'{"model": "m", "messages": [{"role": "assistant", "tool_calls": []}], "temperature": 2, "x": {}}'
    read = read_chat_request(body)
    assert (read.token_cap, read.include_usage, read.stream) == (None, False, None)
    read = read_chat_request(b'{"model":"m","messages":[{"role":"user","content":[]}],"max_tokens":null}')
    assert read.token_cap is None


def test_param_is_the_path_of_the_field() -> None:
    with pytest.raises(ApiError) as caught:
        read_chat_request(b'{"model": "m", "messages": [{"role": "user", "content": "a"}, {"content": "b"}]}')
    assert caught.value.param == "messages[1].role"
    assert caught.value.message == "Missing required parameter: 'messages[1].role'."
