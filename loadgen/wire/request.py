"""The bytes of a request that are the same for all requests of a target, and its secrets."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from loadgen import __version__
from loadgen.errors import ScenarioError
from loadgen.scenario.model import FromEnv, Target
from loadgen.wire.endpoints import ENDPOINTS

_MIN_SECRET: Final = 4  # a shorter value would blank out ordinary words
# what a session's header carries as it is, besides letters and digits; the rest is percent-encoded
_PLAIN: Final = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}"


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Where requests of a target go and what they all begin with.

    head ends before the value of Content-Length. session: the header that names a request's conversation.
    secrets never appear in a repr.
    """

    scheme: str
    host: str
    port: int
    head: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    session: str | None = None

    def request(self, body: bytes, session_id: str | None = None) -> bytes:
        """Return the whole request; the session goes into its header where the target has one."""
        if session_id is not None and self.session is not None:
            header = f"{self.session}: {quote(session_id, safe=_PLAIN)}".encode("latin-1")
            return b"%b%d\r\n%b\r\n\r\n%b" % (self.head, len(body), header, body)
        return b"%b%d\r\n\r\n%b" % (self.head, len(body), body)

    def redact(self, text: str) -> str:
        """Blank out the target's secrets, should a server have repeated one."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def from_environment(place: str, name: str, environ: Mapping[str, str]) -> str:
    """Return the value of a variable, as it can be sent.

    Raises:
        ScenarioError: at `place`: it is not set, or no header can carry it (its value is never shown).
    """
    value = environ.get(name, "").strip()
    if not value:
        raise ScenarioError(place, f"the environment variable {name} is not set", f"export {name}=...")
    if re.search(r"[\x00-\x1f\x7f]", value) or not value.isascii():
        what = f"the value of {name} holds characters that an HTTP header can't carry"
        raise ScenarioError(place, what, "set it to the bare key")
    return value


def request_head(target: Target, place: str, environ: Mapping[str, str] | None = None) -> RequestHead:
    """Build the head of a target's requests; reads the key and header values from the environment.

    Raises:
        ScenarioError: a variable that the scenario names can't be sent, see `from_environment`.
    """
    environ = os.environ if environ is None else environ
    assert target.base_url is not None  # noqa: S101  # run gives simulated targets their address first
    url = urlsplit(target.base_url)
    host = url.hostname or ""
    endpoint = ENDPOINTS[target.endpoint]
    streams = target.stream and endpoint.streams
    port = url.port or (443 if url.scheme == "https" else 80)
    secrets: list[str] = []

    def value(key_place: str, given: str | FromEnv) -> str:
        if isinstance(given, str):
            return given
        secrets.append(from_environment(key_place, given.env, environ))
        return secrets[-1]

    headers = {
        "Host": url.netloc.rpartition("@")[2],
        "User-Agent": f"loadgen/{__version__}",
        "Accept": "text/event-stream, application/json" if streams else "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
    }
    if target.api_key_env is not None:
        key = from_environment(f"{place}.api_key_env", target.api_key_env, environ)
        secrets.append(key)
        headers["Authorization"] = f"Bearer {key}"
    for name, given in target.headers.items():
        for default in [h for h in headers if h.lower() == name.lower()]:
            del headers[default]
        headers[name] = value(f"{place}.headers.{name}", given)
    session = target.session.header if target.session is not None else None
    if session is not None:  # each request has its own
        headers = {name: text for name, text in headers.items() if name.lower() != session.lower()}
    query = {name: value(f"{place}.query.{name}", given) for name, given in target.query.items()}
    path = quote(url.path.rstrip("/"), safe="/%:@!$&'()*+,;=~") + endpoint.path
    if query:
        path += "?" + urlencode(query)
    lines = [
        f"POST {path} HTTP/1.1",
        *(f"{name}: {text}" for name, text in headers.items()),
        "Content-Length: ",
    ]
    # as a server may repeat it: in a URL, in a form, in JSON
    secrets += [way for s in secrets for way in (quote(s, safe=""), quote_plus(s), json.dumps(s)[1:-1])]
    return RequestHead(
        scheme=url.scheme,
        host=host,
        port=port,
        head="\r\n".join(lines).encode("latin-1"),
        secrets=tuple(sorted({s for s in secrets if len(s) >= _MIN_SECRET}, key=len, reverse=True)),
        session=session,
    )
