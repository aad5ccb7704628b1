"""The HTTP side of the simulator: routes, keys, models, and a request's way through its engine."""

import asyncio
import contextlib
import dataclasses
import functools
import hashlib
import hmac
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from loadgen.catalog.profiles import Profile, model_names, profile
from loadgen.engine.machine import Engine
from loadgen.simulator import refusals
from loadgen.simulator.answer import Answer, Ask, StreamedAnswer, WholeAnswer
from loadgen.simulator.api import ApiError
from loadgen.simulator.chat import read_chat
from loadgen.simulator.completions import read_completions
from loadgen.simulator.driver import EngineDriver, Receiver
from loadgen.simulator.embeddings import read_embeddings
from loadgen.simulator.images import read_images
from loadgen.simulator.responses import read_responses
from loadgen.simulator.text import FEWEST_CALL_TOKENS, Call, Corpus, Plot, prompt_blocks
from loadgen.simulator.truth import TruthLog
from loadgen.units import NS_PER_S

_MOST_BODY_BYTES: Final = 64 << 20
# What is posted where, and how it is read.
_READ: Final[dict[str, Callable[[bytes], Ask]]] = {
    "/v1/chat/completions": read_chat,
    "/v1/completions": read_completions,
    "/v1/responses": read_responses,
    "/v1/images/generations": read_images,
    "/v1/embeddings": read_embeddings,
}
_STREAM_HEADERS: Final = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}


class Simulator:
    """The models, an engine and its task for each, and the handlers. Needs a running loop.

    models: the names that are served; none means every name, unknown ones by the default profile.
    api_key: required as a Bearer token when given. tasks: where the engines run.
    """

    def __init__(
        self,
        *,
        models: Sequence[str],
        seed: int,
        api_key: str | None,
        log: TruthLog | None,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._models = tuple(models)
        self._names = self._models or model_names()
        self._seed = seed
        self._api_key = api_key
        self._log = log
        self._tasks = tasks
        self._corpus = Corpus(seed)
        self._profile = functools.cache(profile)
        self._drivers: dict[tuple[str, str], EngineDriver] = {}
        self._running: list[asyncio.Task[None]] = []
        self._started_s = int(time.time())
        self._ids = itertools.count(1)
        self._mark = secrets.token_hex(4)  # response ids differ between two simulators

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[self._guard], client_max_size=_MOST_BODY_BYTES)
        app.on_response_prepare.append(self._name_request)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_get("/v1/models/{model:.+}", self._show_model)
        for path in _READ:
            app.router.add_post(path, self._post)
        return app

    def close(self) -> None:
        """End the engines' tasks."""
        for task in self._running:
            task.cancel()

    async def _name_request(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["x-request-id"] = f"req_{self._mark}{next(self._ids):08x}"

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Check the key; give every error OpenAI's shape."""
        try:
            self._check_key(request)
            return await handler(request)
        except ApiError as error:
            return _json(error.body(), error.status)
        except web.HTTPException as error:
            told = {
                404: f"Invalid URL ({request.method} {request.path})",
                405: f"Not allowed to {request.method} on {request.path}",
                413: f"The body is larger than {_MOST_BODY_BYTES} bytes",
            }
            response = _json(ApiError(told.get(error.status, error.reason)).body(), error.status)
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response

    def _check_key(self, request: web.Request) -> None:
        if self._api_key is None:
            return
        given = request.headers.get("Authorization", "")
        if not given:
            what = "You didn't provide an API key: send it as 'Authorization: Bearer KEY'."
            raise ApiError(what, status=401)
        # the key is never repeated in an answer
        if not hmac.compare_digest(given.encode(), f"Bearer {self._api_key}".encode()):
            raise ApiError("Incorrect API key provided.", code="invalid_api_key", status=401)

    def _check_model(self, model: str) -> None:
        if self._models and model not in self._models:
            raise ApiError(f"The model '{model}' does not exist.", "model", "model_not_found", status=404)

    def _model(self, model: str) -> dict[str, Any]:
        return {"id": model, "object": "model", "created": self._started_s, "owned_by": "loadgen"}

    async def _list_models(self, _request: web.Request) -> web.StreamResponse:
        data = [self._model(model) for model in self._names]
        return _json(msgspec.json.encode({"object": "list", "data": data}))

    async def _show_model(self, request: web.Request) -> web.StreamResponse:
        model = request.match_info["model"]
        self._check_model(model)
        return _json(msgspec.json.encode(self._model(model)))

    def _driver(self, model: str, name: str) -> EngineDriver:
        """Return a model's engine; name: of one of several, alike, that the URL's `engine` tells apart."""
        driver = self._drivers.get((model, name))
        if driver is None:
            digest = hashlib.blake2b(f"{self._seed}/{model}".encode(), digest_size=8).digest()
            driver = EngineDriver(Engine(self._profile(model).engine, int.from_bytes(digest)))
            self._drivers[model, name] = driver
            self._running.append(self._tasks.create_task(driver.run(), name=f"engine of {model}"))
        return driver

    def _answer(self, ask: Ask, known: Profile, received_ns: int) -> Answer:
        """Decide the whole answer; only its instants are open."""
        refusals.check(ask, known)
        effort_tokens = known.reasoning[ask.effort] if ask.effort is not None else 0
        plot = self._corpus.plot(ask.model, ask.seed, ask.content, ask.offer, effort_tokens)
        tokens, ends_with, call = _length(ask, plot, known.engine.max_context_tokens - ask.prompt_tokens)
        thoughts = self._corpus.tokens(plot.offset, min(plot.reasoning_tokens, tokens))
        said = self._corpus.tokens(plot.offset + len(thoughts), tokens - len(thoughts))
        cached = known.engine.prefix_cache_tokens and ask.prompt
        return Answer(
            ask=ask,
            response_id=f"{ask.id_prefix}{self._mark}{next(self._ids):08x}",
            created_s=int(time.time()),
            received_ns=received_ns,
            output_tokens=tokens,
            ends_with=ends_with,
            seed=self._seed,
            offset=plot.offset,
            done=asyncio.get_running_loop().create_future(),
            work=ask.work or [(ask.prompt_tokens, tokens)],
            thoughts=thoughts,
            said=call.arguments(said) if call else said,
            call=call,
            blocks=prompt_blocks(ask.prompt, ask.prompt_tokens) if cached else [],
        )

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        received_ns = time.monotonic_ns()
        ask = _READ[request.path](body)
        if ask.stream and request.version < (1, 1):
            raise ApiError("A streamed answer needs HTTP/1.1.", "stream")
        self._check_model(ask.model)
        answer = self._answer(ask, self._profile(ask.model), received_ns)
        driver = self._driver(ask.model, request.query.get("engine", ""))
        try:
            if ask.stream and ask.streamed:
                return await _stream(request, driver, answer, ask.streamed(answer))
            return await _whole(request, driver, answer)
        finally:
            if self._log:
                self._log.write(answer)


def _length(ask: Ask, plot: Plot, room: int) -> tuple[int, str, Call | None]:
    """Return the tokens of an answer, why it ends, and its call, drawn out to what was asked.

    room: what the prompt leaves of the context window. A text with a cap takes all of it.
    """
    if ask.work:
        return sum(output for _, output in ask.work), "stop", None
    most = ask.cap or room
    wanted = max(plot.reasoning_tokens + plot.free_tokens, ask.min_tokens)
    if plot.call is None:
        capped = ask.cap is not None or ask.ignore_eos or wanted > room
        return (most, "length", None) if capped else (wanted, "stop", None)
    fewest = plot.reasoning_tokens + FEWEST_CALL_TOKENS
    if ask.ignore_eos:
        wanted = max(most, fewest)
    call = dataclasses.replace(plot.call, tokens=wanted - plot.reasoning_tokens)
    return min(wanted, most), "length" if wanted > most else "tool_calls", call


async def _stream(
    request: web.Request, driver: EngineDriver, answer: Answer, pieces: Iterator[bytes]
) -> web.StreamResponse:
    response = web.StreamResponse(headers=_STREAM_HEADERS)
    response.enable_chunked_encoding()
    await response.prepare(request)
    transport = request.transport
    if transport is None:  # the client has left
        return response
    stream = StreamedAnswer(answer, pieces, transport)
    stream.begin()
    await _through_engine(driver, stream)
    with contextlib.suppress(ConnectionResetError):  # who has read [DONE] may leave before the last chunk
        await response.write_eof()
    return response


async def _whole(request: web.Request, driver: EngineDriver, answer: Answer) -> web.StreamResponse:
    await _through_engine(driver, WholeAnswer(answer))
    response = _json(answer.ask.whole(answer))
    answer.events_ns.append(time.monotonic_ns())
    await response.prepare(request)
    await response.write_eof()
    return response


async def _through_engine(driver: EngineDriver, receiver: Receiver) -> None:
    """Let a request pass through overhead, queue and batch; cancelled, it leaves the engine."""
    answer = receiver.answer
    queued_ns = answer.received_ns + driver.engine.draw_overhead_ns()
    await asyncio.sleep((queued_ns - time.monotonic_ns()) / NS_PER_S)
    numbers = [driver.submit(receiver, *work, queued_ns) for work in answer.work]
    try:
        await answer.done
    finally:
        for number in numbers:
            driver.cancel(number)


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")
