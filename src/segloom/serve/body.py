"""Reading the bodies of requests within limits, and saying no in one form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from starlette.requests import ClientDisconnect, Request

from segloom.serve.limits import Limits

__all__ = ["Reader", "Refusal"]

LISTEN_ON = 2.0  # seconds; a client that still sends would not see an early answer


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """A request is answered with a status and one sentence.

    Args:
        status: Of HTTP.
        sentence: What is wrong, and the fix.
        headers: Of the answer.
    """

    def __init__(
        self, status: int, sentence: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})


class Reader:
    """Reads bodies, all of which together stay within the limits.

    Args:
        limits: Sizes and times.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0
        """Bytes of all bodies that are being received or worked on."""

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Return the body; its bytes count as held until the block ends.

        Raises:
            Refusal: It is too large, comes too slowly, or the others hold too much.
        """
        chunks: list[bytes] = []
        try:
            try:
                async with asyncio.timeout(self.limits.body_timeout):
                    await self._receive(request, chunks)
            except TimeoutError:
                raise Refusal(
                    408, f"the body did not arrive within {self.limits.body_timeout:g} s."
                ) from None
            chunks[:] = [b"".join(chunks)]
            yield chunks[0]
        finally:
            self.held -= sum(map(len, chunks))

    async def _receive(self, request: Request, chunks: list[bytes]) -> None:
        declared, size = request.headers.get("content-length", ""), 0
        if declared.isdecimal() and int(declared) > self.limits.max_bytes:
            raise self._too_large()
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            self.held += len(chunk)
            if size > self.limits.max_bytes:
                raise self._too_large()
            if self.held > self.limits.held_bytes:
                sentence = "the server receives too much at once; try again."
                raise Refusal(429, sentence, {"Retry-After": "1"})

    def _too_large(self) -> Refusal:
        return Refusal(
            413,
            f"the body has more than {self.limits.max_bytes:,} bytes; compress the image or scale "
            "it down.",
        )

    async def discard(self, request: Request) -> None:
        """Listen on for a moment, so that a client that still sends can see an early answer."""
        if "100-continue" in request.headers.get("expect", "").lower():
            return  # it waits to be asked for the body
        left = self.limits.max_bytes
        with suppress(TimeoutError, ClientDisconnect, RuntimeError):
            async with asyncio.timeout(LISTEN_ON):
                async for chunk in request.stream():
                    left -= len(chunk)
                    if left < 0:
                        return
