"""The official SDK is content with all kinds of endpoints, and is refused what models can't do."""

import array
import base64
import math
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from loadgen.simulator.images import IMAGE_TOKENS, read_images
from loadgen.simulator.media import image_size, png
from loadgen.simulator.process import RunningSimulator, start

TEXT = "x" * 43  # 10 tokens
USER = [{"role": "user", "content": TEXT}]
TOOL: Any = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}
CALL = {"type": "function_call", "call_id": "c1", "name": "clock", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "noon"}
IMAGE = "data:image/png;base64," + base64.b64encode(png(600, 400, 7)).decode()


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with start(seed=5) as running:
        yield running


@pytest.fixture(scope="module")
def client(simulator: RunningSimulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulator.base_url, api_key="any", max_retries=0) as made:
        yield made


# completions


def test_a_completion_streamed_and_whole(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "gpt-5.4-mini", "prompt": TEXT, "suffix": TEXT}
    whole = client.completions.create(**asked)
    (choice,) = whole.choices
    assert whole.id.startswith("cmpl-")
    assert whole.usage
    # without a cap it is OpenAI's
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, choice.finish_reason) == (
        20,
        16,
        "length",
    )
    *chunks, end = client.completions.create(stream=True, **asked)
    assert (end.choices[0].text, end.choices[0].finish_reason, end.usage) == ("", "length", None)
    assert len(chunks) == 16
    assert "".join(chunk.choices[0].text for chunk in chunks) == choice.text
    assert client.completions.create(**asked | {"suffix": "y"}).choices[0].text != choice.text
    assert client.completions.create(**asked | {"prompt": [TEXT]}).choices[0].text == choice.text


# responses


def test_a_response_cut_off_by_its_cap(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "gpt-5.5", "input": TEXT, "instructions": TEXT, "max_output_tokens": 7}
    whole = client.responses.create(**asked)
    assert whole.id.startswith("resp_")
    assert (whole.status, whole.max_output_tokens, whole.instructions) == ("incomplete", 7, TEXT)
    assert whole.incomplete_details
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert whole.usage
    assert (whole.usage.input_tokens, whole.usage.output_tokens, whole.usage.total_tokens) == (20, 7, 27)
    *_, last = client.responses.create(stream=True, **asked)
    assert last.type == "response.incomplete"
    assert last.response.output_text == whole.output_text != ""
    assert last.response.output[-1].status == "incomplete"


@pytest.mark.parametrize("summary", [None, "auto"], ids=["thoughts", "summary"])
def test_reasoning_comes_before_the_answer_and_counts_towards_the_cap(
    client: openai.OpenAI, summary: str | None
) -> None:
    reasoning: Any = {"effort": "minimal"} | ({"summary": summary} if summary else {})
    whole = client.responses.create(
        model="gpt-5.4-mini", input=TEXT, max_output_tokens=48, reasoning=reasoning
    )
    thoughts, message = whole.output
    assert whole.usage
    assert whole.usage.output_tokens == 48
    assert 0 < whole.usage.output_tokens_details.reasoning_tokens < 48
    assert thoughts.type == "reasoning"
    assert message.type == "message"
    told = thoughts.summary if summary else thoughts.content
    assert told
    assert told[0].text
    assert bool(thoughts.summary) == bool(summary)
    only = client.responses.create(model="gpt-5.4-mini", input=TEXT, max_output_tokens=2, reasoning=reasoning)
    assert ([item.type for item in only.output], only.output_text) == (["reasoning"], "")


@pytest.mark.parametrize("effort", [None, "none", "low"])
def test_reasoning_in_chat(client: openai.OpenAI, effort: str | None) -> None:
    asked: Any = {"model": "gpt-5.4-mini", "messages": USER, "max_completion_tokens": 30}
    answer = client.chat.completions.create(**asked | ({"reasoning_effort": effort} if effort else {}))
    assert answer.usage
    assert answer.usage.completion_tokens_details
    thinks = effort == "low"
    assert answer.usage.completion_tokens_details.reasoning_tokens == (30 if thinks else 0)
    assert bool(getattr(answer.choices[0].message, "reasoning_content", "")) == thinks
    assert bool(answer.choices[0].message.content) != thinks  # the cap left nothing for an answer


def test_a_thinking_level_is_an_effort(client: openai.OpenAI) -> None:
    level = {"google": {"thinking_config": {"thinking_level": "low"}}}
    asked: Any = {"model": "gemini-3.5-flash", "messages": USER, "max_tokens": 5}
    answer = client.chat.completions.create(**asked, extra_body={"extra_body": level})
    assert answer.usage
    assert answer.usage.completion_tokens_details
    assert answer.usage.completion_tokens_details.reasoning_tokens == 5


def test_a_conversation_of_items(client: openai.OpenAI) -> None:
    parts = [
        {"type": "input_text", "text": TEXT},
        {"type": "input_image", "image_url": IMAGE, "detail": "low"},
    ]
    items: Any = [{"role": "user", "content": parts}, CALL, OUTPUT, {"type": "reasoning", "summary": []}]
    answer = client.responses.create(
        model="gpt-5.5", input=items, tools=[TOOL], tool_choice="required", max_output_tokens=3
    )
    assert answer.usage
    # the text, the call, its output, the tool, and the image of low detail
    tool = '[{"type":"function","name":"clock","parameters":{"type":"object","properties":{}}}]'
    assert answer.usage.input_tokens == math.ceil((43 + len("clock{}") + len("noon") + len(tool)) / 4.3) + 85
    assert answer.output[0].type == "message"  # no user has asked for a call
    assert answer.usage.input_tokens_details.cached_tokens == 0
    again = client.responses.create(model="gpt-5.5", input=items, tools=[TOOL], max_output_tokens=3)
    assert again.usage
    assert again.usage.input_tokens_details.cached_tokens == answer.usage.input_tokens // 16 * 16


# images and embeddings


def test_an_image_is_a_png_of_the_size_asked_for(client: openai.OpenAI) -> None:
    made = client.images.generate(model="gpt-image-1-mini", prompt=TEXT, size="1024x1024", quality="low", n=2)
    assert (made.size, made.quality, made.output_format) == ("1024x1024", "low", "png")
    assert made.data
    images = [base64.b64decode(image.b64_json or "") for image in made.data]
    assert [image_size(image) for image in images] == [(1024, 1024)] * 2
    assert images[0] != images[1]
    assert made.usage
    assert (made.usage.input_tokens, made.usage.output_tokens, made.usage.total_tokens) == (10, 544, 554)


@pytest.mark.parametrize(
    ("more", "tokens"),
    [
        ('"size": "auto"', [1056]),
        ('"quality": "high", "n": 2', [4160, 4160]),
        ('"size": "1024x1536", "quality": "low"', [IMAGE_TOKENS["1024x1536"]["low"]]),
    ],
    ids=["auto", "two", "small"],
)
def test_an_image_is_so_many_tokens_of_the_engine(more: str, tokens: list[int]) -> None:
    ask = read_images(b'{"model": "m", "prompt": "a", %s}' % more.encode())
    assert [output for _, output in ask.work] == tokens


def test_embeddings(client: openai.OpenAI) -> None:
    texts = ["a", "b" * 20, "a"]
    made = client.embeddings.create(model="embed", input=texts, encoding_format="float")
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (7, 7)
    vectors = [row.embedding for row in made.data]
    assert [row.index for row in made.data] == [0, 1, 2]
    assert [len(vector) for vector in vectors] == [1536] * 3
    assert all(math.hypot(*vector) == pytest.approx(1, abs=1e-6) for vector in vectors)
    assert vectors[0] == vectors[2] != vectors[1]
    # the SDK asks for base64 by itself
    assert client.embeddings.create(model="embed", input="a").data[0].embedding == vectors[0]
    short = client.embeddings.with_raw_response.create(
        model="embed", input=[[1, 2, 3], [4]], dimensions=8, encoding_format="base64"
    )
    rows = short.http_response.json()
    assert rows["usage"]["prompt_tokens"] == 4
    vector = array.array("f", base64.b64decode(rows["data"][1]["embedding"]))
    assert len(vector) == 8
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-6)


# refusals


Ask = Callable[[openai.OpenAI], Any]


def chat(**body: Any) -> Ask:
    return lambda client: client.chat.completions.create(**{"model": "m", "messages": USER} | body)


def respond(**body: Any) -> Ask:
    return lambda client: client.responses.create(**{"model": "m", "input": TEXT} | body)


def image(**body: Any) -> Ask:
    return lambda client: client.images.generate(**{"model": "m", "prompt": TEXT} | body)


def embed(**body: Any) -> Ask:
    return lambda client: client.embeddings.create(**{"model": "m", "input": TEXT} | body)


def complete(**body: Any) -> Ask:
    return lambda client: client.completions.create(**{"model": "m", "prompt": TEXT} | body)


def with_part(part: dict[str, Any], model: str = "m", role: str = "user") -> Ask:
    return chat(model=model, messages=[{"role": role, "content": [part]}])


def with_image(url: str, **more: str) -> Ask:
    return with_part({"type": "image_url", "image_url": {"url": url}}, **more)


CHAT_TOOL = [{"type": "function", "function": {"name": "f"}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}
TOO_LONG = "x" * 4_300 * 130  # 130,000 tokens


@pytest.mark.parametrize(
    ("ask", "param", "message"),
    [
        # what the catalogue's sources deny
        pytest.param(
            image(model="gpt-image-1-mini", stream=True), "stream", "'stream' does not", id="image-stream"
        ),
        pytest.param(
            chat(model="gpt-4o-2024-11-20", tools=CHAT_TOOL), "tools", "'tools' is not supported", id="tools"
        ),
        pytest.param(
            with_image(IMAGE, model="gpt-4o-2024-11-20"),
            "messages[0].content[0]",
            "image_url is only supported by certain models",
            id="image-to-a-text-model",
        ),
        pytest.param(
            with_part({"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}}, "gpt-5.5"),
            "messages[0].content[0]",
            "input_audio is only supported by certain models",
            id="sound-to-a-model-without",
        ),
        pytest.param(
            chat(model="gpt-4o-2024-11-20", reasoning_effort="low"),
            "reasoning_effort",
            "'reasoning_effort' is not supported with this model",
            id="effort-of-a-model-that-does-not-reason",
        ),
        pytest.param(
            respond(model="gpt-5.5", reasoning={"effort": "ultra"}),
            "reasoning.effort",
            "Supported values are: 'none', 'minimal', 'low', 'medium', 'high', and 'xhigh'",
            id="effort-unknown",
        ),
        pytest.param(
            chat(model="gpt-5.4", max_completion_tokens=32_001),
            "max_completion_tokens",
            "at most 32000 completion tokens",
            id="cap-above-the-models",
        ),
        # parts
        pytest.param(
            with_part({"type": "image"}),
            "messages[0].content[0].type",
            "Supported values are: 'text', 'image_url', 'input_audio', and 'refusal'",
            id="part-unknown",
        ),
        pytest.param(
            respond(input=[{"role": "user", "content": [{"type": "text", "text": "a"}]}]),
            "input[0].content[0].type",
            "'input_text'",
            id="chats-part-in-responses",
        ),
        pytest.param(
            with_part({"type": "image_url"}), "messages[0].content[0].image_url", "Missing", id="no-url"
        ),
        pytest.param(
            with_image("https://127.0.0.1/a.png"),
            "messages[0].content[0].image_url.url",
            "download",
            id="url",
        ),
        pytest.param(
            with_image("data:image/png;base64,?"),
            "messages[0].content[0].image_url.url",
            "Invalid base64",
            id="not-base64",
        ),
        pytest.param(
            with_image("data:image/png;base64,aGVsbG8="),
            "messages[0].content[0].image_url.url",
            "unsupported image",
            id="not-an-image",
        ),
        pytest.param(
            with_image(IMAGE, role="system"), "messages[0].content[0]", "role 'user'", id="system-image"
        ),
        pytest.param(
            with_part({"type": "input_audio", "input_audio": {"data": "aGVsbG8=", "format": "wav"}}),
            "messages[0].content[0].input_audio.data",
            "could not be read as wav",
            id="not-a-wav",
        ),
        # values
        pytest.param(respond(previous_response_id="r"), "previous_response_id", "not found", id="previous"),
        pytest.param(respond(input=[]), "input", "length >= 1", id="no-items"),
        pytest.param(respond(input=[{"content": "a"}]), "input[0].role", "Missing", id="no-role"),
        pytest.param(respond(input=[CALL]), "input", "No tool output found for function call c1", id="call"),
        pytest.param(respond(input=[OUTPUT]), "input", "No tool call found", id="output"),
        pytest.param(respond(tool_choice="required"), "tool_choice", "only allowed when", id="no-tools"),
        pytest.param(complete(prompt=["a", "b"]), "prompt", "length <= 1", id="two-prompts"),
        pytest.param(
            complete(max_tokens=8, extra_body={"min_tokens": 9}), "min_tokens", "max_tokens=8", id="min"
        ),
        pytest.param(
            image(size="8x8"),
            "size",
            "'8x8'. Supported values are: 'auto', '1024x1024', '1024x1536', and '1536x1024'.",
            id="size",
        ),
        pytest.param(image(quality="hd"), "quality", "hd", id="quality"),
        pytest.param(image(n=11), "n", "<= 10", id="n"),
        pytest.param(image(response_format="url"), "response_format", "Unknown parameter", id="format"),
        pytest.param(embed(input=""), "input", "length >= 1", id="embed-nothing"),
        pytest.param(embed(input=[]), "input", "length >= 1", id="embed-none"),
        pytest.param(
            embed(encoding_format="int8"), "encoding_format", "'float', and 'base64'", id="encoding"
        ),
        pytest.param(embed(dimensions=0), "dimensions", ">= 1", id="dimensions"),
        # too long
        pytest.param(respond(input=TOO_LONG), "input", "exceeds the context window", id="long-responses"),
        pytest.param(complete(prompt=TOO_LONG), "prompt", "130000 in your prompt", id="long-completions"),
        pytest.param(embed(input=["a", TOO_LONG]), "input", "130000 in your prompt", id="long-embeddings"),
    ],
)
def test_refusals(client: openai.OpenAI, ask: Ask, param: str, message: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client)
    assert caught.value.param == param
    assert message in caught.value.message
    assert caught.value.type == "invalid_request_error"


def test_an_image_model_does_not_chat(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="not a chat model"):
        chat(model="gpt-image-1-mini")(client)


def test_nothing_of_a_stream_is_sent_before_a_refusal(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        respond(model="gpt-5.5", stream=True, reasoning={"effort": "ultra"})(client)
