"""The pictures that requests bring, received within limits of size, time and number."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

MAX_BYTES = 20 * 2**20
DROPPED = 100 * 2**20
SECONDS = 30
# What is under way at once, in requests and in bytes: more is turned away rather than kept until
# the clients have gone.
REQUESTS = 128
HELD = 256 * 2**20


class Uploads:
    """Counts the requests under way and the bytes that they hold."""

    def __init__(self) -> None:
        self.requests = 0
        self.held = 0

    @asynccontextmanager
    async def receive(self, request: Request) -> AsyncIterator[bytes]:
        """Receive the body of a request, which is under way until the context ends.

        Raises
        ------
        HTTPException
            413 for a body that is too long, 408 for one that takes too long, 400 where the client
            goes before its end, 503 where too much is under way.
        """
        if self.requests >= REQUESTS:
            raise _busy()
        self.requests += 1
        content = bytearray()
        try:
            try:
                async with asyncio.timeout(SECONDS):
                    await self._receive(request.stream(), content)
            except TimeoutError:
                raise HTTPException(408, f"the picture took more than {SECONDS} seconds") from None
            except ClientDisconnect:
                raise HTTPException(400, "the client went before the picture had come") from None
            yield bytes(content)
        finally:
            self.requests -= 1
            self.held -= len(content)

    async def _receive(self, chunks: AsyncIterator[bytes], content: bytearray) -> None:
        async for chunk in chunks:
            if len(content) + len(chunk) > MAX_BYTES:
                await _drop(chunks)
                raise HTTPException(413, f"the picture has more than {MAX_BYTES // 2**20} MiB")
            if self.held + len(chunk) > HELD:
                raise _busy()
            content += chunk
            self.held += len(chunk)


async def _drop(chunks: AsyncIterator[bytes]) -> None:
    """Receive the rest, up to a limit: a client that is still sending does not see the answer."""
    dropped = 0
    async for chunk in chunks:
        dropped += len(chunk)
        if dropped > DROPPED:
            break


def _busy() -> HTTPException:
    return HTTPException(503, "too many requests at once: try again later")
