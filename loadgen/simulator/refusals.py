"""What is refused in OpenAI's words: another kind of endpoint, what a model can't do, what has no room."""

from typing import Final

from loadgen.catalog.model import find
from loadgen.catalog.profiles import Profile
from loadgen.simulator.answer import Ask
from loadgen.simulator.api import ApiError, listed

_NO_STREAM: Final = (
    "Unsupported value: 'stream' does not support true with this model. Only the default (false) value is"
    " supported."
)
# By capability: the message and the code. Who can do what is in the catalogue; an undisputed no is a no.
_DENIED: Final = {
    "streaming": (_NO_STREAM, "unsupported_value"),
    "tools": ("Unsupported parameter: 'tools' is not supported with this model.", "unsupported_parameter"),
    "structured_output": (
        "Invalid parameter: this form of answer is not supported with this model.",
        "unsupported_parameter",
    ),
    "image_input": ("Invalid content type. image_url is only supported by certain models.", None),
    "audio_input": ("Invalid content type. input_audio is only supported by certain models.", None),
}


def check(ask: Ask, profile: Profile) -> None:
    """Refuse what can't be answered, as far as that is known before the answer is decided.

    Raises:
        ApiError: 400, or 404 for an endpoint that the model does not have.
    """
    if ask.cap and ask.min_tokens > ask.cap:
        what = f"min_tokens must be less than or equal to {ask.cap_name}={ask.cap}, got {ask.min_tokens}."
        raise ApiError(what, "min_tokens", "invalid_value")
    if ask.stream_options and not ask.stream:
        what = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise ApiError(what, "stream_options")
    if profile.images and ask.endpoint != "v1/images/generations":
        what = f"This is not a chat model and thus not supported in the {ask.endpoint} endpoint."
        raise ApiError(what, "model", status=404)
    known = find(ask.model)
    needs = ask.needs | ({"streaming": "stream"} if ask.stream else {})
    for capability, param in needs.items():
        never = capability == "streaming" and ask.streamed is None
        if never or (known and known.denied(capability)):
            message, code = _DENIED[capability]
            raise ApiError(message, param, code)
    name, most = ask.effort_name, profile.max_output_tokens
    if ask.effort is not None and ask.effort not in profile.reasoning:
        if not profile.reasoning:
            what = f"Unsupported parameter: '{name}' is not supported with this model."
            raise ApiError(what, name, "unsupported_parameter")
        what = f"Unsupported value: '{ask.effort}' is not supported with the '{ask.model}' model."
        what += f" Supported values are: {listed(profile.reasoning)}."
        raise ApiError(what, name, "unsupported_value")
    if most and ask.cap and ask.cap > most:
        what = f"{ask.cap_name} is too large: {ask.cap}. This model supports at most {most} completion"
        raise ApiError(f"{what} tokens, whereas you provided {ask.cap}.", ask.cap_name, "invalid_value")
    _check_window(ask, profile.engine.max_context_tokens)


def _check_window(ask: Ask, window: int) -> None:
    prompt = max((prompt for prompt, _ in ask.work), default=ask.prompt_tokens)
    answer = max((output for _, output in ask.work), default=ask.cap or 1)
    if prompt + answer <= window:
        return
    what = f"This model's maximum context length is {window} tokens"
    requested = f"you requested {prompt + answer} tokens"
    if ask.endpoint == "v1/responses":
        what = "Your input exceeds the context window of this model. Please adjust your input and try again."
    elif ask.endpoint == "v1/chat/completions":
        what += f". However, {requested} ({prompt} in the messages, {answer} in the completion)."
    else:
        what += f", however {requested} ({prompt} in your prompt; {answer} for the completion)."
        what += " Please reduce your prompt; or completion length."
    raise ApiError(what, ask.place, "context_length_exceeded")
