"""What Prometheus reads: every number of the server, and none of another server."""

from __future__ import annotations

from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from segloom.serve.metrics import RequestMetrics


def values(metrics):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_gauges_follow_the_server():
    scheduler, reader = SimpleNamespace(waiting=3, size=16, running=2), SimpleNamespace(held=700)
    metrics = RequestMetrics(scheduler, reader)
    found = values(metrics)
    names = ("segloom_queue_length", "segloom_queue_size", "segloom_running", "segloom_held_bytes")
    assert [found[(name,)] for name in names] == [3, 16, 2, 700]
    scheduler.waiting = 4
    assert values(metrics)["segloom_queue_length",] == 4


def test_counters_are_of_one_server_alone():
    parts = SimpleNamespace(waiting=0, size=1, running=0), SimpleNamespace(held=0)
    one, other = RequestMetrics(*parts), RequestMetrics(*parts)
    one.requests.labels("/predict", "200").inc()
    one.pixels.labels("street").inc(480)
    one.request_seconds.labels("/predict").observe(0.3)
    one.inference_seconds.labels("street").observe(0.02)
    found = values(one)
    assert found["segloom_requests_total", "/predict", "200"] == 1
    assert found["segloom_pixels_total", "street"] == 480
    assert found["segloom_request_seconds_bucket", "/predict", "0.25"] == 0
    assert found["segloom_request_seconds_bucket", "/predict", "0.5"] == 1
    assert found["segloom_inference_seconds_sum", "street"] == 0.02
    assert ("segloom_requests_total", "/predict", "200") not in values(other)
