"""Fetching one large file over HTTP so that nothing is lost when the line breaks.

What has come lies in ``FILE.part`` with the server's mark of the version (its ETag) beside it; a
later call goes on from there if the server allows and still has that version, else it begins anew.
The file gets its name only when it is complete.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from segloom.errors import DataError

__all__ = ["Patience", "fetch", "part_of"]

BLOCK = 1 << 18
"""Bytes read at a time, at most."""
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP answers after which asking again may help."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes there are and the bytes there will be, if known."""


@dataclass(frozen=True)
class Patience:
    """How long to bear with a bad line."""

    attempts: int = 6
    """Failures in a row, without a byte in between, after which to give up."""
    pause_s: float = 1.0
    """Seconds before the second attempt; doubled before each further one, at most 30."""
    timeout_s: float = 30.0
    """Seconds without a byte after which the line counts as broken."""


_LINE_ERRORS = (TimeoutError, ConnectionError, ssl.SSLError)


@dataclass(frozen=True)
class _Source:
    url: str
    max_bytes: int
    is_verified: bool
    """Whether a digest will tell if pieces of different versions were joined."""


class _BrokenError(Exception):
    """The line broke; trying again may help."""


def part_of(path: Path) -> Path:
    """The file that holds what has come of ``path`` so far."""
    return path.with_name(f"{path.name}.part")


def fetch(
    url: str,
    path: Path,
    *,
    sha256: str | None,
    max_bytes: int,
    patience: Patience = Patience(),
    progress: Progress | None = None,
) -> Path:
    """Fetch a file, or go on fetching it.

    Args:
        url: An http or https address.
        path: Where the complete file goes.
        sha256: Digest in hex that the file must have; None if none is known.
        max_bytes: Refuse anything larger.
        patience: When to give up.
        progress: Told how far it is.

    Raises:
        DataError: The server refuses, breaks off too often, sends too much or the wrong bytes, or
            the disk is full. What has come stays for the next call unless it is wrong.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url} is no http or https address.")
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch_all(_Source(url, max_bytes, sha256 is not None), part, patience, progress)
        if sha256 is not None:
            _verify(url, part, sha256)
        part.replace(path)
        _mark_of(part).unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot write {part} ({error.strerror or error}); free some space or choose another "
            "folder."
        ) from error
    return path


def _fetch_all(source: _Source, part: Path, patience: Patience, progress: Progress | None) -> None:
    failures, size = 0, _size(part)
    while True:
        try:
            _fetch_more(source, part, patience, progress)
            return
        except _BrokenError as error:
            now = _size(part)
            failures = 1 if now > size else failures + 1
            size = now
            if failures >= patience.attempts:
                raise DataError(
                    f"{source.url} could not be fetched: {error}; {size:,} bytes are kept in "
                    f"{part}. Run the same command again to go on."
                ) from error
            time.sleep(min(patience.pause_s * 2 ** (failures - 1), 30.0))


def _fetch_more(source: _Source, part: Path, patience: Patience, progress: Progress | None) -> None:
    """Ask once for what is missing."""
    url = source.url
    have, mark = _size(part), _mark_of(part)
    if not (mark.is_file() or source.is_verified):
        have = 0  # nobody could tell whether the pieces fit together
    headers = {"User-Agent": "segloom", "Accept-Encoding": "identity", **_rest(have, mark)}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - scheme was checked
    try:
        with _opener().open(request, timeout=patience.timeout_s) as answer:
            if urlsplit(url).scheme == "https" and urlsplit(answer.url).scheme != "https":
                raise DataError(f"{url} leads to {answer.url}, which is not encrypted.")
            if answer.status != 206 or not _continues(answer, have):
                have = 0
            _store(answer, part, have, source.max_bytes, progress)
    except urllib.error.HTTPError as error:
        _refuse(url, part, error)
    except (http.client.HTTPException, urllib.error.URLError, *_LINE_ERRORS) as error:
        raise _BrokenError(_reason(error)) from error


def _rest(have: int, mark: Path) -> dict[str, str]:
    """Return the headers that ask for what follows on the bytes that are there."""
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and mark.is_file():
        headers["If-Range"] = mark.read_text(encoding="utf-8")
    return headers


def _opener() -> urllib.request.OpenerDirector:
    """Follows redirects and proxies, but opens no local files."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _continues(answer: http.client.HTTPResponse, have: int) -> bool:
    return (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-")


def _refuse(url: str, part: Path, error: urllib.error.HTTPError) -> None:
    error.close()
    if error.code == 416:  # what lies there is not the beginning of what the server has
        part.unlink(missing_ok=True)
        raise _BrokenError("the server has no such range") from error
    if error.code in TRANSIENT:
        raise _BrokenError(f"the server answers {error.code} {error.reason}") from error
    raise DataError(
        f"{url} cannot be fetched: the server answers {error.code} {error.reason}; fetch it by "
        "hand if it has moved."
    ) from error


def _store(
    answer: http.client.HTTPResponse,
    part: Path,
    have: int,
    max_bytes: int,
    progress: Progress | None,
) -> None:
    """Write the body behind the first ``have`` bytes."""
    total = _total(answer, have)
    if total is not None and total > max_bytes:
        raise DataError(_too_large(answer.url, max_bytes))
    if not have:
        _begin(part, answer.headers.get("ETag") or "")
    with part.open("ab" if have else "wb") as file:
        while block := answer.read1(BLOCK):  # what is there now: silence must not lose it
            have += len(block)
            if have > max_bytes:
                raise DataError(_too_large(answer.url, max_bytes))
            file.write(block)
            if progress:
                progress(have, total)
    if total is not None and have < total:
        raise _BrokenError(f"the server broke off after {have:,} of {total:,} bytes")


def _total(answer: http.client.HTTPResponse, have: int) -> int | None:
    length = answer.headers.get("Content-Length")
    return have + int(length) if length and length.isdecimal() else None


def _begin(part: Path, mark: str) -> None:
    """Remember which file it is whose bytes follow, by the server's mark."""
    _mark_of(part).unlink(missing_ok=True)
    if mark and not mark.startswith("W/"):  # weak marks do not promise equal bytes
        part.write_bytes(b"")
        _mark_of(part).write_text(mark, encoding="utf-8")


def _verify(url: str, part: Path, sha256: str) -> None:
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        part.unlink()
        _mark_of(part).unlink(missing_ok=True)
        raise DataError(
            f"{url} sent something else than expected (sha256 {found}, not {sha256}); it was "
            "thrown away. Try again, or fetch the file by hand."
        )


def _too_large(url: str, max_bytes: int) -> str:
    return f"{url} sends more than the {max_bytes:,} bytes that it should have at most."


def _mark_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _reason(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "the server broke off"
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "the server fell silent"
    return str(reason) or type(reason).__name__
