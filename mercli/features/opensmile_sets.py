"""``opensmile``: the feature sets of openSMILE that the field compares with; an extra, for its licence.

openSMILE (Eyben et al. 2010) is under the audEERING Research License: free for research, commercial use needs another
licence of its owners.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from mercli.contracts import Encoder, TrainedOn
from mercli.errors import DataError
from mercli.registry import plugin
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    from mercli.types import FloatArray

RATE = 16_000
SHORTEST = 960  # samples: the window of 60 ms that pitch is looked for in
SILENT = 1e-4  # a peak below -80 dB of full scale is no sound
LEVELS = {"functionals": "Functionals", "lld": "LowLevelDescriptors"}


@plugin("encoders", "opensmile", extra="opensmile", modality="audio", dim=88, trained_on=())
def opensmile(
    *,
    features: Literal["eGeMAPSv02", "ComParE_2016"] = "eGeMAPSv02",
    level: Literal["functionals", "lld"] = "functionals",
) -> Encoder:
    """OpenSMILE's eGeMAPS or ComParE, by the library itself; research licence (audEERING), not for commercial use.

    ``features``: ``eGeMAPSv02`` (Eyben et al. 2016): 88 functionals or 25 descriptors; ``ComParE_2016`` (Schuller et
    al. 2016): 6373 or 65. ``level``: ``functionals``, a row of statistics a segment, or ``lld``, a row of descriptors
    each 10 ms. Silence, and less than 60 ms, has no valid row.
    """
    import opensmile as library

    chosen = getattr(library.FeatureSet, features), getattr(library.FeatureLevel, LEVELS[level])
    return _OpenSmile(library.Smile(*chosen))


class _OpenSmile:
    """Runs the library over each sound by itself; its statistics are over whole segments, however long."""

    modality = "audio"
    weights = "none"
    settings = StreamSettings(audio_rate=RATE, longest=None)
    trained_on: tuple[TrainedOn, ...] = ()

    def __init__(self, smile: Any) -> None:
        self.smile = smile
        self.dim = int(smile.num_features)

    def to(self, device: str) -> None:
        """Stay on the CPU: there is no network to move."""

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (T, D) per item; raises ``DataError`` for audio that is not at 16 kHz."""
        return [self._one(streams) for streams in batch]

    def _one(self, streams: Streams) -> Feature:
        import numpy as np

        if streams.audio_rate != RATE:
            raise DataError(f"audio is at {streams.audio_rate} Hz; opensmile expects {RATE} Hz")
        samples = np.nan_to_num(np.zeros(0, np.float32) if streams.audio is None else streams.audio)
        if len(samples) < SHORTEST or float(np.abs(samples).max()) < SILENT:
            times = np.asarray([[0, len(samples) / RATE]], np.float32)
            return Feature(np.zeros((1, self.dim), np.float32), times, np.zeros(1, np.bool_))
        return self._computed(samples)

    def _computed(self, samples: FloatArray) -> Feature:
        import numpy as np

        table = self.smile.process_signal(samples, RATE)
        values = table.to_numpy(np.float32)
        finite = np.isfinite(values).all(1)
        seconds = [table.index.get_level_values(name).total_seconds() for name in ("start", "end")]
        return Feature(np.where(finite[:, None], values, 0), np.stack(seconds, 1).astype(np.float32), finite)
