"""Errors in OpenAI's shape, and bodies read into typed requests.

Fields that are not known are accepted and ignored, as gateways do.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Final, TypeVar, get_args, get_type_hints

import msgspec

_DECODE_PLACE: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")

_ENUM: Final = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
TokenCap = Annotated[int, msgspec.Meta(ge=1)] | None
MinTokens = Annotated[int, msgspec.Meta(ge=0)] | None

NO_STREAM: Final = (
    "Unsupported value: 'stream' does not support true with this model. Only the default (false) value is"
    " supported."
)

Request = TypeVar("Request")


class ApiError(Exception):
    """An answer of OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        super().__init__(message)

    def body(self) -> bytes:
        """Return the JSON body."""
        detail = {
            "message": self.message,
            "type": "invalid_request_error",
            "param": self.param,
            "code": self.code,
        }
        return msgspec.json.encode({"error": detail})


def decode(decoder: msgspec.json.Decoder[Request], body: bytes) -> Request:
    """Read a body.

    Raises:
        ApiError: 400, with the field in `param` where one is to blame.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), decoder.type) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"We could not parse the JSON body of your request: {error}") from None


def unknown_value(value: str, known: Iterable[str], param: str) -> ApiError:
    """Return the refusal of a value that is none of those known."""
    what = f"Invalid value: '{value}'. Supported values are: {listed(known)}."
    return ApiError(400, what, param=param, code="invalid_value")


def listed(values: Iterable[str]) -> str:
    """Write values one after the other, as OpenAI's messages do."""
    return ", and ".join(", ".join(f"'{value}'" for value in values).rsplit(", ", 1))


def _invalid(text: str, kind: type) -> ApiError:
    """Turn msgspec's "what - at `$.path`" about a value of that kind into OpenAI's message and param."""
    match = _DECODE_PLACE.fullmatch(text)
    what, path = (match["what"], match["path"] or "") if match else (text, "")
    if missing := _MISSING.fullmatch(what):
        param = f"{path}.{missing[1]}" if path else missing[1]
        return ApiError(
            400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
        )
    if not path:
        return ApiError(400, f"Invalid request body: {what}.")
    args = get_args(get_type_hints(kind).get(path))
    choices = [choice for arg in args for choice in (arg, *get_args(arg)) if isinstance(choice, str)]
    if choices and (value := _ENUM.fullmatch(what)):
        return unknown_value(value[1], choices, path)
    return ApiError(400, f"Invalid value for '{path}': {what}.", param=path, code="invalid_value")
