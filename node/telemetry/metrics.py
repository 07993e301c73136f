"""A node's numbers, in the form that Prometheus reads.

Counting is a dictionary entry; prometheus-client is imported and asked only when somebody scrapes, because the
import costs more than the rest of a node's start (60 ms) and most nodes of a development cluster are never scraped.
Each node has its own ``Metrics``, so that many nodes can live in one process.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

Labels = tuple[str, ...]
M = TypeVar("M", "Counter", "Gauge", "Histogram")

SECONDS_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SERIES_MAX: Final = 1_000
"""Label sets of one metric: names from outside must not fill memory."""
OVERFLOW: Final = "other"


class Counter:
    """Only rises. The name ends in ``_total``."""

    kind: Final = "counter"

    def __init__(self, name: str, help_text: str, labels: Labels = ()) -> None:
        self.name = name
        self.help_text = help_text
        self.labels = labels
        self.values: dict[Labels, float] = {} if labels else {(): 0}

    def add(self, amount: float = 1, *labels: str) -> None:
        """Add to the series with these label values."""
        key = _series(self.values, labels)
        self.values[key] = self.values.get(key, 0) + amount


class Gauge:
    """Goes up and down; read by calling ``read`` at the scrape, or set."""

    kind: Final = "gauge"

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Labels = (),
        read: Callable[[], float | Mapping[Labels, float]] | None = None,
    ) -> None:
        self.name = name
        self.help_text = help_text
        self.labels = labels
        self._read = read
        self._values: dict[Labels, float] = {}

    def set(self, value: float, *labels: str) -> None:
        """The value now."""
        self._values[_series(self._values, labels)] = value

    @property
    def values(self) -> Mapping[Labels, float]:
        """By label values."""
        if self._read is None:
            return self._values
        read = self._read()
        return {(): read} if isinstance(read, int | float) else read


class Histogram:
    """How often a measurement fell below each bound."""

    kind: Final = "histogram"

    def __init__(
        self, name: str, help_text: str, labels: Labels = (), bounds: Sequence[float] = SECONDS_BUCKETS
    ) -> None:
        self.name = name
        self.help_text = help_text
        self.labels = labels
        self.bounds = tuple(bounds)
        self.values: dict[Labels, tuple[list[int], list[float]]] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count one measurement."""
        key = _series(self.values, labels)
        series = self.values.get(key)
        if series is None:
            series = self.values[key] = ([0] * (len(self.bounds) + 1), [0.0])
        series[0][bisect_left(self.bounds, value)] += 1
        series[1][0] += value


def _series(values: Mapping[Labels, Any], labels: Labels) -> Labels:
    """The series to write to: a new one only while there is room."""
    if labels in values or len(values) < SERIES_MAX:
        return labels
    return (OVERFLOW,) * len(labels)


class Metrics:
    """The metrics of one node."""

    def __init__(self) -> None:
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        self._registry: Any = None

    def counter(self, name: str, help_text: str, labels: Labels = ()) -> Counter:
        """A new counter."""
        return self._added(Counter(name, help_text, labels))

    def gauge(
        self,
        name: str,
        help_text: str,
        labels: Labels = (),
        read: Callable[[], float | Mapping[Labels, float]] | None = None,
    ) -> Gauge:
        """A new gauge."""
        return self._added(Gauge(name, help_text, labels, read))

    def histogram(
        self, name: str, help_text: str, labels: Labels = (), bounds: Sequence[float] = SECONDS_BUCKETS
    ) -> Histogram:
        """A new histogram."""
        return self._added(Histogram(name, help_text, labels, bounds))

    def _added(self, metric: M) -> M:
        if metric.name in self._metrics:
            raise ValueError(f"metric {metric.name} exists already")
        self._metrics[metric.name] = metric
        return metric

    def render(self) -> bytes:
        """The text exposition format, version 0.0.4."""
        from prometheus_client import CollectorRegistry, generate_latest  # costs 60 ms: paid by the first scrape

        if self._registry is None:
            self._registry = CollectorRegistry(auto_describe=False)
            self._registry.register(self)
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Any]:
        """prometheus-client's collector protocol: every metric as a family."""
        from prometheus_client.core import (  # see render
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for metric in self._metrics.values():
            if isinstance(metric, Histogram):
                family: Any = HistogramMetricFamily(metric.name, metric.help_text, labels=metric.labels)
                for labels, (counts, total) in list(metric.values.items()):
                    family.add_metric(labels, _cumulative(metric.bounds, counts), total[0])
            else:
                shape = CounterMetricFamily if isinstance(metric, Counter) else GaugeMetricFamily
                family = shape(metric.name, metric.help_text, labels=metric.labels)
                for labels, value in list(metric.values.items()):
                    family.add_metric(labels, value)
            yield family


def _cumulative(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    """Prometheus buckets count everything up to their bound."""
    told: list[tuple[str, float]] = []
    running = 0
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        running += count
        told.append((bound, running))
    return told
