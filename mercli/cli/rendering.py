"""Predictions as a table for people, or json, jsonl and csv for programs; each is written as it is made."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from mercli.cli.listing import escaped
from mercli.errors import ConfigError, DataError
from mercli.rundir import json_line
from mercli.types import Prediction

FORMATS = ("table", "json", "jsonl", "csv")
BAR = 24
Write = Callable[[Prediction], None]


def choose(given: str | None, json: bool, output: str | None) -> str:
    """Return the format: as asked, else by the ending of ``-o``, else a table; raises ``ConfigError`` if unknown."""
    from mercli.jobs.answers import exporting

    known = (*FORMATS, *exporting.FORMATS)
    if given is not None and given not in known:
        raise ConfigError(f"format '{given}' is unknown, expected {', '.join(known)}")
    ending = Path(output).suffix[1:].lower() if output else ""
    return given or ("json" if json else ending if ending in known else "table")


def is_folder(output: str | None) -> bool:
    """Tell whether ``-o`` names a folder: one that is there, or a name that ends with ``/`` or has no ending."""
    if output is None or (Path(output).exists() and not Path(output).is_dir()):
        return False
    return Path(output).is_dir() or output.endswith(("/", os.sep)) or not Path(output).suffix


@contextmanager
def writer(kind: str, output: str | None, names: Sequence[str] | None = None) -> Iterator[Write]:
    """Give a function that writes one prediction to stdout, or to a file that gets its name when it is whole.

    ``names`` are the classes of every model asked: the score columns of a csv. Raises ``DataError`` at once where
    ``output`` cannot be written. Documents that go into a folder are written elsewhere.
    """
    from mercli.jobs.answers import exporting

    if kind == exporting.TABLE and output is not None:
        with exporting.table(Path(output), names or ()) as write:
            yield write
        return
    if kind in exporting.DOCUMENTS and is_folder(output):
        yield lambda prediction: None
        return
    with _opened(output) as stream:
        if kind in exporting.DOCUMENTS:
            collected: list[Prediction] = []
            yield collected.append
            stream.write(exporting.document(kind, collected, Path(output) if output else None))
        elif kind == "json":
            yield from _json(stream)
        elif kind == "csv":
            table = _Csv(stream, names)
            try:
                yield table.write
            finally:
                table.flush()
        elif kind == "jsonl":
            yield lambda prediction: _line(stream, escaped(json_line(prediction)))
        else:
            yield _table(stream)


@contextmanager
def _opened(output: str | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    path = Path(output)
    if path.is_dir():
        raise DataError(f"'{output}' is a folder, expected the name of a file", f"-o {path / 'predictions.jsonl'}")
    device = path.exists() and not path.is_file()  # /dev/null, a pipe: must be written to, never replaced
    part = path if device else path.with_name(path.name + ".part")
    try:
        # names of files that are no UTF-8 leave with the bytes they came with
        stream = part.open("w", encoding="utf-8", errors="surrogateescape", newline="")
    except OSError as fault:
        raise DataError(f"'{output}' cannot be written: {fault.strerror}") from fault
    try:
        with stream:
            yield stream
        if not device:
            part.replace(path)
    finally:
        if not device:
            part.unlink(missing_ok=True)


def _line(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()


def _json(stream: TextIO) -> Iterator[Write]:
    count = 0

    def write(prediction: Prediction) -> None:
        nonlocal count
        stream.write(("[\n" if count == 0 else ",\n") + escaped(json_line(prediction)))
        stream.flush()
        count += 1

    try:
        yield write
        if count == 0:
            stream.write("[]\n")
    finally:  # an error ends the loop: what was written is still one document
        if count:
            stream.write("\n]\n")


class _Csv:
    """Writes rows under one header; rows that tell no classes wait for one that does, or for the end."""

    def __init__(self, stream: TextIO, names: Sequence[str] | None) -> None:
        self.stream = stream
        self.names = names
        self.waiting: list[Prediction] = []
        self.started = False

    def write(self, prediction: Prediction) -> None:
        self.waiting.append(prediction)
        self.names = self.names or _classes(prediction)
        if self.names:
            self.flush()

    def flush(self) -> None:
        for prediction in self.waiting:
            row = _flat(prediction, self.names or ())
            if not self.started:
                _line(self.stream, _spell(list(row)))
                self.started = True
            _line(self.stream, _spell(list(row.values())))
        self.waiting.clear()


def _classes(prediction: Prediction) -> Sequence[str] | None:
    from mercli.labels import CANONICAL

    return tuple(prediction.scores) or (CANONICAL.names if prediction.scheme == CANONICAL.name else None)


def _flat(prediction: Prediction, names: Sequence[str]) -> dict[str, Any]:
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
    yield from _values(prediction) if prediction.kind == "values" else _probabilities(prediction)
    yield f"  from {', '.join(prediction.modalities)}" + _shares(prediction), ""
    for modality, scores in (prediction.alone or {}).items():
        yield f"  {modality} alone: {_alone(prediction, scores)}", ""
    for modality, why in prediction.missing.items():
        yield f"  without {modality}: {why}", "dim"
    if prediction.text:
        trust = "" if prediction.text_trust is None else f", trust {prediction.text_trust:.2f}"
        text = prediction.text if len(prediction.text) <= 56 else prediction.text[:55] + "…"
        yield f'  text ({prediction.text_source}{trust}): "{text}"', "dim"


def _probabilities(prediction: Prediction) -> Iterator[tuple[str, str]]:
    """Yield a bar a class, the likeliest one marked, or every label that is there."""
    best = max(prediction.scores.values())
    there = (prediction.label or "").split("+") if prediction.kind == "many-of" else ()
    for name, score in sorted(prediction.scores.items(), key=lambda pair: -pair[1]):
        bar = "█" * round(score * BAR) or "▏"
        bold = name in there if prediction.kind == "many-of" else score == best
        yield f"  {name:<10}{score:6.1%}  {bar}", "bold" if bold else ""
    if prediction.kind == "many-of":
        yield f"  there: {(prediction.label or '').replace('+', ', ')}", ""
    elif prediction.label is None:
        yield f"  abstained: no class reaches the probability asked for (best {best:.1%})", "yellow"


def _values(prediction: Prediction) -> Iterator[tuple[str, str]]:
    for name, value in prediction.scores.items():
        yield f"  {name:<10}{value:7.2f}", "bold"


def _alone(prediction: Prediction, scores: Mapping[str, float]) -> str:
    if prediction.kind == "values":
        return ", ".join(f"{name} {value:.2f}" for name, value in scores.items())
    top = max(scores, key=lambda name: scores[name])
    return f"{top} {scores[top]:.1%}"


def _shares(prediction: Prediction) -> str:
    if not prediction.shares:
        return ""
    best = max(prediction.scores, key=lambda name: prediction.scores[name])
    label = best if prediction.kind == "many-of" else prediction.label or best
    parts = ", ".join(f"{m} {value * 100:+.1f}" for m, value in prediction.shares.items())
    return f"; towards {label}, in points: {parts}"
