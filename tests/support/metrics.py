"""Metrics, as Prometheus' own parser reads them."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Labels = Mapping[str, str]


class Scrape:
    """The samples of one answer of ``/metrics``."""

    def __init__(self, text: str) -> None:
        self.text = text
        families = list(text_string_to_metric_families(text))
        self.families = {family.name for family in families}
        self.samples = [sample for family in families for sample in family.samples]

    @classmethod
    def of(cls, url: str) -> Scrape:
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as reply:
            return cls(reply.read().decode())

    def sum(self, name: str, /, **labels: str) -> float:
        """Return the sum of the samples that have these labels, among others."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str) -> list[Labels]:
        return [sample.labels for sample in self.samples if sample.name == name]
