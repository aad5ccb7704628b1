"""Errors in OpenAI's shape, and bodies read into typed requests.

Fields that are not known are accepted and ignored, as gateways do.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Final, TypeVar, get_args, get_type_hints

import msgspec

_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_ENUM: Final = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
TokenCap = Annotated[int, msgspec.Meta(ge=1)] | None
MinTokens = Annotated[int, msgspec.Meta(ge=0)] | None

Request = TypeVar("Request")


class StreamOptions(msgspec.Struct, frozen=True):
    """Options of a streamed answer."""

    include_usage: bool = False


class ApiError(Exception):
    """An answer of OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`."""

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, *, status: int = 400
    ) -> None:
        self.message = message
        self.param = param
        self.code = code
        self.status = status
        super().__init__(message)

    def body(self) -> bytes:
        """Return the JSON body."""
        kind = "invalid_request_error"
        detail = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": detail})


def missing(param: str) -> ApiError:
    """Return the refusal of a body without a field that it must have."""
    return ApiError(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def unknown_value(value: str, known: Iterable[str], param: str) -> ApiError:
    """Return the refusal of a value that is none of those known."""
    what = f"Invalid value: '{value}'. Supported values are: {listed(known)}."
    return ApiError(what, param, "invalid_value")


def listed(values: Iterable[str]) -> str:
    """Write values one after the other, as OpenAI's messages do."""
    return ", and ".join(", ".join(f"'{value}'" for value in values).rsplit(", ", 1))


def decode(body: bytes, kind: type[Request]) -> Request:
    """Read a body.

    Raises:
        ApiError: 400, with the field in `param` where one is to blame.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(f"We could not parse the JSON body of your request: {error}") from None


def _invalid(text: str, kind: type) -> ApiError:
    what, _, place = text.partition(" - at `$")  # msgspec's way to say where
    path = place.removesuffix("`").removeprefix(".")
    if absent := _MISSING.fullmatch(what):
        return missing(f"{path}.{absent[1]}".lstrip("."))
    if not path:
        return ApiError(f"Invalid request body: {what}.")
    args = get_args(get_type_hints(kind).get(path))
    choices = [choice for arg in args for choice in (arg, *get_args(arg)) if isinstance(choice, str)]
    if choices and (value := _ENUM.fullmatch(what)):
        return unknown_value(value[1], choices, path)
    return ApiError(f"Invalid value for '{path}': {what}.", path, "invalid_value")
