"""The kinds of endpoint: path, request body, and how to read the answer.

A new kind is a row in `ENDPOINTS`, a file of its own, and a recorded stream in the tests.
"""

from collections.abc import Mapping
from typing import Final

from loadgen.wire.chat import CHAT
from loadgen.wire.completions import COMPLETIONS
from loadgen.wire.embeddings import EMBEDDINGS
from loadgen.wire.images import IMAGES
from loadgen.wire.kind import Endpoint
from loadgen.wire.responses import RESPONSES

ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "responses": RESPONSES,
    "images": IMAGES,
    "embeddings": EMBEDDINGS,
}
