"""What a server takes on, so that no client can exhaust it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from segloom.errors import ConfigError

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Sizes, times and numbers; what goes beyond is refused with a sentence."""

    queue: int = 16
    """Requests that wait for a worker; more are answered 429 with Retry-After."""
    workers: int = 2
    """Requests that are worked on at once. One at a time runs its network, which uses all cores;
    the others decode and encode meanwhile."""
    max_bytes: int = 64 * 2**20
    """Largest body of a request; larger ones are answered 413."""
    max_pixels: int = 16_000_000
    """Largest image, by its header, before a pixel is decoded; larger ones are answered 413."""
    held_bytes: int = 256 * 2**20
    """Bodies of all requests together; what goes beyond is answered 429."""
    timeout: float = 60.0
    """Seconds from the last byte of a request to its answer; then it is answered 503 if it still
    waited and 504 if it was worked on."""
    body_timeout: float = 30.0
    """Seconds that a body may take to arrive (408), and an answer to be taken."""
    idle_timeout: float = 10.0
    """Seconds that a connection may take to send the head of a request."""
    connections: int = 256
    """Open connections; more are answered 503."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value <= 0:
                name = entry.name.replace("_", "-")
                raise ConfigError(f"--limits.{name} is {value}; give a number above 0.")
