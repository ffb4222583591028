"""Predictions as a table for people, or json, jsonl and csv for programs; each is written as it is made."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from mercli.errors import ConfigError, DataError
from mercli.rundir import json_line
from mercli.types import Prediction

FORMATS = ("table", "json", "jsonl", "csv")
BAR = 24
Write = Callable[[Prediction], None]


def choose(given: str | None, json: bool, output: str | None) -> str:
    """Return the format: as asked, else by the ending of ``-o``, else a table; raises ``ConfigError`` if unknown."""
    if given is not None and given not in FORMATS:
        raise ConfigError(f"format '{given}' is unknown, expected {', '.join(FORMATS)}")
    ending = Path(output).suffix[1:].lower() if output else ""
    return given or ("json" if json else ending if ending in FORMATS else "table")


@contextmanager
def writer(kind: str, output: str | None) -> Iterator[Write]:
    """Give a function that writes one prediction to stdout, or to a file that gets its name when it is whole."""
    with _opened(output) as stream:
        if kind == "json":
            yield from _json(stream)
        elif kind == "csv":
            yield _csv(stream)
        elif kind == "jsonl":
            yield lambda prediction: _line(stream, json_line(prediction))
        else:
            yield _table(stream)


@contextmanager
def _opened(output: str | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    path = Path(output)
    part = path.with_name(path.name + ".part")
    try:
        stream = part.open("w", encoding="utf-8", newline="")
    except OSError as fault:
        raise DataError(f"'{output}' cannot be written: {fault.strerror}") from fault
    with stream:
        yield stream
    part.replace(path)


def _line(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()


def _json(stream: TextIO) -> Iterator[Write]:
    count = 0

    def write(prediction: Prediction) -> None:
        nonlocal count
        stream.write(("[\n" if count == 0 else ",\n") + json_line(prediction))
        stream.flush()
        count += 1

    yield write
    stream.write("\n]\n" if count else "[]\n")


def _csv(stream: TextIO) -> Write:
    header: list[str] = []

    def write(prediction: Prediction) -> None:
        row = _flat(prediction)
        if not header:
            header.extend(row)
            _line(stream, _spell(header))
        _line(stream, _spell([row.get(column, "") for column in header]))

    return write


def _flat(prediction: Prediction) -> dict[str, Any]:
    from mercli.labels import CANONICAL

    names = prediction.scores or (CANONICAL.names if prediction.scheme == CANONICAL.name else ())
    shares = prediction.shares or {}
    return {
        "id": prediction.id,
        "clip": prediction.clip,
        "start": prediction.start,
        "end": "" if prediction.end is None else prediction.end,
        "label": prediction.label or "",
        **{f"score_{name}": prediction.scores.get(name, "") for name in names},
        "modalities": "+".join(prediction.modalities),
        "missing": "; ".join(f"{m}: {why}" for m, why in prediction.missing.items()),
        "shares": "; ".join(f"{m}: {value}" for m, value in shares.items()),
        "text": prediction.text or "",
        "text_source": prediction.text_source or "",
        "text_trust": "" if prediction.text_trust is None else prediction.text_trust,
        "error": prediction.error or "",
        "run": prediction.run,
    }


def _spell(cells: list[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(cells)
    return buffer.getvalue()


def _table(stream: TextIO) -> Write:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, soft_wrap=True)

    def write(prediction: Prediction) -> None:
        for line, style in _lines(prediction):
            console.print(Text(line, style=style))
        console.print()

    return write


def _lines(prediction: Prediction) -> Iterator[tuple[str, str]]:
    """Yield the lines of one prediction with their styles; at most 80 columns for ordinary names."""
    span = "" if prediction.end is None else f"  {prediction.start:.1f}-{prediction.end:.1f} s"
    yield f"{prediction.id}{span}  [{prediction.run}]", "bold"
    if prediction.error:
        yield f"  error: {prediction.error}", "red"
        return
    best = max(prediction.scores.values())
    for name, score in sorted(prediction.scores.items(), key=lambda pair: -pair[1]):
        bar = "█" * round(score * BAR) or "▏"
        yield f"  {name:<10}{score:6.1%}  {bar}", "bold" if score == best else ""
    if prediction.label is None:
        yield f"  abstained: no class reaches the probability asked for (best {best:.1%})", "yellow"
    yield f"  from {', '.join(prediction.modalities)}" + _shares(prediction), ""
    for modality, why in prediction.missing.items():
        yield f"  without {modality}: {why}", "dim"
    if prediction.text:
        trust = "" if prediction.text_trust is None else f", trust {prediction.text_trust:.2f}"
        text = prediction.text if len(prediction.text) <= 56 else prediction.text[:55] + "…"
        yield f'  text ({prediction.text_source}{trust}): "{text}"', "dim"


def _shares(prediction: Prediction) -> str:
    if not prediction.shares:
        return ""
    label = prediction.label or max(prediction.scores, key=lambda name: prediction.scores[name])
    parts = ", ".join(f"{m} {value * 100:+.1f}" for m, value in prediction.shares.items())
    return f"; towards {label}, in points: {parts}"
