"""``logmel-stats``: statistics of a voice's spectrum, level and pitch; no trained weights."""

from __future__ import annotations

from mercli.contracts import Encoder
from mercli.registry import plugin


@plugin("encoders", "logmel-stats", modality="audio", dim=217, trained_on=())
def logmel_stats(*, bands: int = 40) -> Encoder:
    """Mean, spread and percentiles of log-mel bands, level, pitch and voicing over the sounding part."""
    from mercli.features.logmel_stats import LogmelStats

    return LogmelStats(bands)
