"""Metrics: the text that Prometheus reads, and what counting may cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from node.telemetry.metrics import OVERFLOW, SERIES_MAX, Metrics


def test_exposition() -> None:
    metrics = Metrics()
    seen = metrics.counter("blocks_total", "Blocks.", ("kind",))
    seen.add(1, "own")
    seen.add(2, "other's")
    metrics.counter("plain_total", "Without labels.").add()
    height = metrics.gauge("height", "Height.")
    height.set(7)
    metrics.gauge("peers", "Peers.", read=lambda: 3)
    metrics.gauge("scores", "Scores.", ("peer",), read=lambda: {("a",): 1.5})
    times = metrics.histogram("seconds", "Seconds.", ("what",), (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 9.0):
        times.observe(value, "x")
    text = metrics.render().decode()
    for line in (
        'blocks_total{kind="own"} 1.0',
        'blocks_total{kind="other\'s"} 2.0',
        "plain_total 1.0",
        "height 7.0",
        "peers 3.0",
        'scores{peer="a"} 1.5',
        'seconds_bucket{le="0.1",what="x"} 2.0',
        'seconds_bucket{le="1.0",what="x"} 3.0',
        'seconds_bucket{le="+Inf",what="x"} 4.0',
        'seconds_count{what="x"} 4.0',
        'seconds_sum{what="x"} 9.65',
        "# TYPE height gauge",
    ):
        assert line in text.splitlines(), line
    height.set(8)
    assert "height 8.0" in metrics.render().decode()


def test_names_are_taken_once() -> None:
    metrics = Metrics()
    metrics.gauge("a", "A.")
    with pytest.raises(ValueError, match="exists already"):
        metrics.counter("a", "A.")


def test_label_values_from_outside_cannot_fill_memory() -> None:
    metrics = Metrics()
    counter = metrics.counter("x_total", "X.", ("name",))
    for number in range(SERIES_MAX + 50):
        counter.add(1, str(number))
    assert len(counter.values) == SERIES_MAX + 1
    assert counter.values[OVERFLOW,] == 50


def test_nodes_in_one_process_do_not_share() -> None:
    one, two = Metrics(), Metrics()
    one.counter("x_total", "X.").add()
    two.counter("x_total", "X.")
    assert b"x_total 1.0" in one.render()
    assert b"x_total 0.0" in two.render()


def test_start_does_not_pay_for_the_client() -> None:
    code = "import sys, node.telemetry.metrics; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
