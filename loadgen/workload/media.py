"""An image or a sound as base64, of which a little is each request's own."""

import base64
import hashlib
from collections.abc import Callable


class Media:
    """One image or sound: bytes that are the same in every request, and the last few, each request's own.

    form: png, jpeg, webp, gif, wav or mp3. end: makes the end of the file out of `own_bytes` bytes.
    """

    def __init__(
        self, form: str, head: bytes, own_bytes: int = 0, end: Callable[[bytes], bytes] = bytes
    ) -> None:
        whole = len(head) - len(head) % 3  # what base64 can write before the rest is known
        self.form = form
        self._start = base64.b64encode(head[:whole]).decode()
        self._rest = head[whole:]
        self._own_bytes = own_bytes
        self._end = end

    def base64(self, key: str) -> str:
        """Return the file; its end is a function of the key."""
        own = hashlib.shake_128(key.encode()).digest(self._own_bytes)
        return self._start + base64.b64encode(self._rest + self._end(own)).decode()
