"""What Prometheus can ask for at ``/metrics``."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from segloom.serve.body import Reader
from segloom.serve.scheduler import Scheduler

__all__ = ["RequestMetrics"]

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class RequestMetrics:
    """Counters of one server, in a registry of its own: a program can hold several servers."""

    def __init__(self, scheduler: Scheduler, reader: Reader) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "segloom_requests",
            "Requests by route and status",
            ("route", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "segloom_request_seconds",
            "From the head of a request to the end of its answer",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.inference_seconds = Histogram(
            "segloom_inference_seconds",
            "Time of the network alone",
            ("model",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.pixels = Counter(
            "segloom_pixels", "Pixels that were labelled", ("model",), registry=self.registry
        )
        self._gauge("segloom_queue_length", "Requests that wait", lambda: scheduler.waiting)
        self._gauge("segloom_queue_size", "Requests that can wait", lambda: scheduler.size)
        self._gauge("segloom_running", "Requests that are worked on", lambda: scheduler.running)
        self._gauge("segloom_held_bytes", "Bytes of received bodies", lambda: reader.held)

    def _gauge(self, name: str, text: str, read: object) -> None:
        Gauge(name, text, registry=self.registry).set_function(read)  # type: ignore[arg-type]

    def text(self) -> bytes:
        """Write all of them in the format of Prometheus."""
        return generate_latest(self.registry)
