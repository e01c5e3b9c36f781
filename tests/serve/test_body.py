"""Bodies within limits: of one request, of all together, and in time; what ends is given back."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request

from segloom.serve.body import Reader, Refusal
from segloom.serve.limits import Limits


def request(*chunks, hangs=False, **headers):
    """A request whose body comes in chunks, and after them never ends if ``hangs``."""
    left = list(chunks)

    async def receive():
        if not left and hangs:
            await asyncio.Event().wait()
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left) or hangs}

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": named}, receive)


def read(reader, given, during=None):
    async def inside():
        async with reader.read(given) as body:
            if during:
                await during()
            return body, reader.held

    return asyncio.run(asyncio.wait_for(inside(), 30))


def test_chunks_are_joined_and_held_until_the_end():
    reader = Reader(Limits(max_bytes=10))
    assert read(reader, request(b"12345", b"", b"67890")) == (b"1234567890", 10)
    assert reader.held == 0


@pytest.mark.parametrize(
    "given", [request(b"123456", b"78901"), request(b"1", content_length="11")]
)
def test_a_body_beyond_the_limit_is_refused(given):
    reader = Reader(Limits(max_bytes=10))
    with pytest.raises(Refusal, match="more than 10 bytes; compress the image") as refused:
        read(reader, given)
    assert refused.value.status == 413
    assert reader.held == 0


@pytest.mark.parametrize("length", ["10", "none", "-5", ""])
def test_a_declared_length_within_the_limit_or_none_is_read(length):
    assert read(Reader(Limits(max_bytes=10)), request(b"123", content_length=length))[0] == b"123"


def test_bodies_of_all_requests_together_are_limited():
    reader = Reader(Limits(held_bytes=10, max_bytes=8))

    async def another():
        assert reader.held == 6
        with pytest.raises(Refusal, match="receives too much at once; try again") as refused:
            async with reader.read(request(b"12345")):
                raise AssertionError
        assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
        assert reader.held == 6
        async with reader.read(request(b"1234")) as small:
            assert (small, reader.held) == (b"1234", 10)

    assert read(reader, request(b"123456"), another) == (b"123456", 6)
    assert reader.held == 0


def test_a_body_that_comes_too_slowly_is_refused():
    reader = Reader(Limits(body_timeout=0.05))
    with pytest.raises(Refusal, match=r"did not arrive within 0\.05 s") as refused:
        read(reader, request(b"123", hangs=True))
    assert refused.value.status == 408
    assert reader.held == 0


def test_an_error_in_the_block_gives_the_bytes_back():
    reader = Reader(Limits())

    async def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read(reader, request(b"123"), fail)
    assert reader.held == 0


@pytest.mark.parametrize(
    ("chunks", "headers", "left"),
    [
        ([b"1", b"2", b"3"], {}, 0),
        ([b"1" * 6, b"2" * 6, b"3"], {}, 1),
        ([b"1"], {"expect": "100-Continue"}, 1),
    ],
)
def test_the_rest_of_a_body_is_thrown_away_up_to_the_limit(chunks, headers, left):
    given, seen = request(*chunks, **headers), []
    receive = given._receive

    async def counting():
        message = await receive()
        seen.append(message["body"])
        return message

    given._receive = counting
    asyncio.run(asyncio.wait_for(Reader(Limits(max_bytes=10)).discard(given), 30))
    assert len(chunks) - len(seen) == left
