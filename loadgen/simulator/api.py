"""Errors in OpenAI's shape, and bodies read into typed requests.

Fields that are not known are accepted and ignored, as gateways do.
"""

import re
from typing import Annotated, Final, TypeVar

import msgspec

_DECODE_PLACE: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")

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
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"We could not parse the JSON body of your request: {error}") from None


def _invalid(text: str) -> ApiError:
    """Turn msgspec's "what - at `$.path`" into OpenAI's message and param."""
    match = _DECODE_PLACE.fullmatch(text)
    what, path = (match["what"], match["path"] or "") if match else (text, "")
    if missing := _MISSING.fullmatch(what):
        param = f"{path}.{missing[1]}" if path else missing[1]
        return ApiError(
            400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
        )
    if not path:
        return ApiError(400, f"Invalid request body: {what}.")
    return ApiError(400, f"Invalid value for '{path}': {what}.", param=path, code="invalid_value")
