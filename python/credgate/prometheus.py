"""What this process has done, for `prometheus_client`.

    from prometheus_client import REGISTRY
    from credgate.prometheus import Collector

    REGISTRY.register(Collector())

In a server of several worker processes each has numbers of its own.
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
    """Collects `credgate.metrics()`."""

    def collect(self) -> Iterable[Metric]:
        """Answer the numbers of this moment."""
        return text_string_to_metric_families(metrics())
