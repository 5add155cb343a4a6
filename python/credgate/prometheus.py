"""The metrics of this process for `prometheus_client`.

    from prometheus_client import REGISTRY
    from credgate.prometheus import Collector

    REGISTRY.register(Collector())

Each worker process has its own metrics. With a shared store and the engine option `store_metrics`,
each worker reports the sum over all processes of this host that use the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector as _Collector

from credgate import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

__all__ = ["Collector"]


class Collector(_Collector):
    """A collector that returns the metrics of `credgate.metrics()`."""

    def collect(self) -> Iterable[Metric]:
        """Return the current metrics."""
        return text_string_to_metric_families(metrics())
