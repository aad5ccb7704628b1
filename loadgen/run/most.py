"""The most that a request can cost, in USD, known before it is sent: what a budget sets aside for it."""

from math import inf
from typing import Any, Final

from loadgen.catalog.cost import request_usd
from loadgen.measure.spending import offers_tools
from loadgen.scenario.model import Target
from loadgen.workload.prompt import Prompt

CAPS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")
"""Fields of a request's body that cap its answer."""

_TEMPLATE_TOKENS: Final = 100  # what a server's chat template adds to what is sent
_IMAGE_TOKENS: Final = 3_000  # above what is known of any model's largest
_SOUND_CHARS: Final = 100  # of base64, a token: those who count most make 32 tokens of a second of sound
_LONGER: Final = 1.5  # lengths are estimates, and models' tokenizers differ


def most_usd(target: Target, prompt: Prompt) -> float:
    """Return the most that a request can cost: its prompt and its answer's cap, nothing from a cache.

    target: with its price. Infinite where the price is not known, or only its lower bound, or the answer has
    no cap. A machine paid by the hour costs nothing more for a request.
    """
    return usd_at_most(
        target, most_prompt_tokens(prompt), most_output(target, prompt), agentic=offers_tools(target, prompt)
    )


def usd_at_most(target: Target, prompt_tokens: int, output: int | None, *, agentic: bool) -> float:
    """Return the most for so many tokens of prompt, and tokens (or images) of output; None: no cap."""
    price = target.price
    if price is not None and price.gpu_hour is not None:
        return 0.0
    if price is None or output is None:
        return inf
    images = target.endpoint == "images"
    # a tier may be cheaper than the one below it, at its end
    ends = [prompt_tokens, *(t.above for t in price.tiers if t.above < prompt_tokens)]
    costs = [
        request_usd(
            price,
            prompt_tokens=tokens,
            cached_tokens=0,
            output_tokens=0 if images else output,
            images=output if images else 0,
            agentic=agentic,
        )
        for tokens in ends
    ]
    known = [usd for usd in costs if usd is not None]
    return max(known) if len(known) == len(costs) else inf


def most_output(target: Target, prompt: Prompt) -> int | None:
    """Return the cap of all answers to a request in tokens (images: how many); None: there is no cap."""
    if target.endpoint == "embeddings":
        return 0
    sent = (prompt.body or prompt.image or {}) | target.extra_body
    answers = _count(sent.get("n")) or 1
    if target.endpoint == "images":
        return answers
    caps = [cap for cap in map(_count, map(sent.get, CAPS)) if cap is not None]
    cap = max(caps) if caps else prompt.asked_output_tokens
    return None if cap is None else answers * cap


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def most_prompt_tokens(prompt: Prompt) -> int:
    """Return the most tokens that a prompt can have.

    No tokenizer makes more tokens of a text than it has bytes; where a length was asked for, half as much
    again is enough.
    """
    if prompt.body is not None:
        return _TEMPLATE_TOKENS + tokens_of(prompt.body)
    said = tokens_of([prompt.messages, prompt.tools, prompt.fill or "", prompt.inputs])
    asked = prompt.asked_prompt_tokens
    if asked is not None and all(isinstance(m.get("content"), str) for m in prompt.messages):
        said = min(said, round(_LONGER * asked) + tokens_of(prompt.tools))
    return _TEMPLATE_TOKENS + said


def tokens_of(value: Any) -> int:
    """Return the most tokens of a part of a body: a text's bytes; of media what any model counts."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    if isinstance(value, list | tuple):
        return sum(map(tokens_of, value))
    if not isinstance(value, dict):
        return 8
    total = 0
    for key, item in value.items():
        if key == "image_url":
            total += _IMAGE_TOKENS
        elif key == "input_audio":
            total += len(str(item.get("data", ""))) // _SOUND_CHARS if isinstance(item, dict) else 0
        else:
            total += len(key) + tokens_of(item)
    return total
