"""Parquet: a row a prediction, a column a score; the same columns whatever was asked, so that files can be joined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mercli.types import MODALITIES, Prediction

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1024
"""Predictions that are held before they are written together."""
PLAIN = ("id", "clip", "start", "end", "scheme", "label", "text", "text_source", "text_trust", "error", "run")


def schema(names: Sequence[str]) -> pa.Schema:
    """Return the columns for the classes ``names``; seconds and probabilities are doubles, what is unknown is null."""
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    word = pa.struct({"text": text, "start": number, "end": number, "confidence": number})
    columns = {
        "id": text, "clip": text, "start": number, "end": number, "scheme": text, "label": text,
        **{f"score_{name}": number for name in names},
        "modalities": pa.list_(text),
        "missing": pa.struct(dict.fromkeys(MODALITIES, text)),
        "shares": pa.struct(dict.fromkeys(MODALITIES, number)),
        "alone": pa.struct(dict.fromkeys(MODALITIES, pa.struct(dict.fromkeys(names, number)))),
        "text": text, "text_source": text, "text_trust": number, "words": pa.list_(word), "error": text, "run": text,
    }  # fmt: skip
    return pa.schema(columns)


@contextmanager
def rows(path: Path, names: Sequence[str]) -> Iterator[Callable[[Prediction], None]]:
    """Give a function that adds one prediction to a file, of which ``ROWS`` are held at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = schema(names)
    waiting: list[dict[str, Any]] = []
    with pq.ParquetWriter(path, columns) as file:

        def flush() -> None:
            file.write_batch(pa.RecordBatch.from_pylist(waiting, columns))
            waiting.clear()

        def write(prediction: Prediction) -> None:
            waiting.append(_row(prediction, names))
            if len(waiting) == ROWS:
                flush()

        yield write
        flush()


def _row(prediction: Prediction, names: Sequence[str]) -> dict[str, Any]:
    row = {name: getattr(prediction, name) for name in PLAIN}
    row |= {f"score_{name}": prediction.scores.get(name) for name in names}
    row |= {"modalities": prediction.modalities, "missing": prediction.missing, "shares": prediction.shares}
    row |= {"alone": prediction.alone, "words": [asdict(word) for word in prediction.words]}
    return {name: _utf8(value) for name, value in row.items()}


def _utf8(value: Any) -> Any:
    """Return a value whose texts are UTF-8; bytes of file names that are not are spelled as escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _utf8(inner) for key, inner in value.items()}
    return [_utf8(inner) for inner in value] if isinstance(value, (list, tuple)) else value
