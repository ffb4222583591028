"""``files-audio``, ``files-face``, ``files-text``: features that others have made, one file a segment or one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mercli.contracts import Encoder
from mercli.errors import ConfigError
from mercli.features.hf import seen
from mercli.registry import plugin
from mercli.types import MODALITIES, Modality

SUMMARY = """Ready-made {modality} features: a file per segment (.npy, .safetensors, .pickle ...), or a row of a table.

``root``: the folder of .npy, .npz, .safetensors, .pt, .pickle or .pkl files. ``pattern``: the file of a segment in it:
{{segment}} is its whole id, {{corpus}}, {{clip}} and {{name}} the parts of that, {{stem}} the clip's last part without
an ending; ``**/{{stem}}.npy`` looks in every folder. ``key``: the array of a file with several. Arrays are (T, D) or
(D,), D the same everywhere (``dim``, else that of the first); ``fps`` rows a second: where that is not known, the times
of rows tell their order alone.
``table``: instead of ``root``, one .npz (``key`` its array) or .xlsx, .csv, .parquet (``columns`` whose cells hold
numbers, put one after another). ``ids`` names its array or column of ids: those of segments, of clips, or of clips
without folders and ending; ``strip``, a regular expression, is cut out of them. Without ``ids``, the rows are those of
a corpus prepared from the same table. A segment without a file or row has no such feature; no media are read.
``trained_on``: what the features' encoder saw, each ``corpus`` or ``corpus:split``."""


def _builder(modality: Modality) -> Callable[..., Encoder]:
    """Return the builder for one modality; the three differ in its name alone."""

    def build(
        *,
        root: str | None = None,
        pattern: str = "{segment}.npy",
        key: str | None = None,
        table: str | None = None,
        columns: str | None = None,
        ids: str | None = None,
        strip: str | None = None,
        dim: int | None = None,
        fps: float = 1.0,
        trained_on: tuple[str, ...] | None = None,
    ) -> Encoder:
        if (root is None) == (table is None):
            raise ConfigError(
                f"encoder 'files-{modality}' needs one of its options 'root' (a folder) and 'table' (a file)",
                f"mer extract --set recipe.encoders.{modality}.options.root=FOLDER ...",
            )
        if not 0 < fps < float("inf"):
            raise ConfigError(f"option 'fps' is {fps!r}, expected a number above 0", "mer list encoders --json")
        from mercli.features.readymade_arrays import Files, ReadyMade
        from mercli.features.readymade_tables import Table

        if root is not None:
            return ReadyMade(modality, Files(Path(root).expanduser(), pattern, key), dim, fps, seen(trained_on))
        names = tuple(name.strip() for name in (columns or "").split(",") if name.strip())
        source = Table(Path(table or "").expanduser(), key, names, ids, strip)
        return ReadyMade(modality, source, dim, fps, seen(trained_on))

    build.__doc__ = SUMMARY.format(modality=modality)
    return build


for _modality in MODALITIES:
    plugin("encoders", f"files-{_modality}", modality=_modality, dim=None, trained_on=())(_builder(_modality))
