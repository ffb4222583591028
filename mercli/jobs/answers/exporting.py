"""Answers as files that other tools open: one document a clip (subtitles, ELAN, Praat), or one table of all."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mercli import log, rundir
from mercli.errors import DataError
from mercli.jobs.clips.cutting import Medium, Source, length
from mercli.results.exports import clip_page, eaf, index_page, parquet, subtitles, textgrid
from mercli.results.exports.tiers import Recording
from mercli.types import Prediction

DOCUMENTS: dict[str, Callable[[Sequence[Prediction], Recording], str]] = {
    "srt": subtitles.srt,
    "vtt": subtitles.vtt,
    "eaf": eaf.eaf,
    "textgrid": textgrid.textgrid,
    "html": clip_page.page,
}
TIMELESS = ("html",)
"""Formats that also show what has no length: a picture, a text."""
INDEX = "index"
"""The name of the page that leads to the others: no clip's page is called so."""
SUBTITLES = ("srt", "vtt")
TABLE = "parquet"
FORMATS = (*DOCUMENTS, TABLE)
ALONE = ("eaf", "textgrid", "html")
"""Formats with a tier or lane for what each modality alone says."""
ENDINGS = {"textgrid": "TextGrid"}
LONGEST = 200
"""Bytes of a file's name: systems take 255, and an ending and a number come behind."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def document(kind: str, predictions: Sequence[Prediction], file: Path | None = None) -> str:
    """Return one clip's answers as ``srt``, ``vtt``, ``eaf``, ``textgrid`` or ``html``, to be written to ``file``.

    Raises ``DataError`` where nothing was answered, where there is no time to put answers to, and for subtitles that
    would lie beside the clip under its name: that is where the words are looked for that are said in it.
    """
    if all(prediction.error for prediction in predictions):
        raise DataError(predictions[-1].error or "", "mer doctor")
    clip = Path(predictions[0].clip)
    timed = any(prediction.end is not None for prediction in predictions)
    if not timed and kind not in TIMELESS:
        raise DataError(f"'{clip}' has no length, and {kind} needs times", "mer predict ... --format jsonl")
    if file and kind in SUBTITLES and file.stem == clip.stem and file.parent.resolve() == clip.parent.resolve():
        hint = f"-o {file.with_stem(f'{clip.stem}.emotions')}"
        raise DataError(f"'{file}' would be taken for what is said in '{clip.name}', expected another name", hint)
    seconds = length(Source((Medium(clip, ()),))) if timed else 0.0
    return DOCUMENTS[kind](predictions, Recording(clip, seconds, file.parent if file else None))


def into_folder(every: Iterable[Iterable[Prediction]], kind: str, folder: Path) -> Iterator[list[Prediction]]:
    """Pass each clip's predictions on, having written its document; one that cannot be written becomes a failure.

    Pages are followed by one that leads to them, ``index.html``.
    """
    paged = kind == "html"
    taken = {INDEX} if paged else set()
    found: list[index_page.Entry] = []
    for made in every:
        predictions = list(made)
        name = _name(predictions[0], taken)
        file = folder / f"{name}.{ENDINGS.get(kind, kind)}"
        page: str | None = file.name
        try:
            rundir.write_text(file, document(kind, predictions, file))
        except DataError as fault:  # the unit boundary: one bad clip never stops the others
            log.logger.warning("%s: %s", predictions[0].id, fault.message)
            predictions, page = [replace(predictions[0], scores={}, label=None, error=fault.message)], None
        if paged:
            found += index_page.entries(predictions, page)
        yield predictions
    if found:
        rundir.write_text(folder / f"{INDEX}.html", index_page.index(found))


def _name(prediction: Prediction, taken: set[str]) -> str:
    """Return a name for a clip's file that every system takes and that no clip before has."""
    told = Path(prediction.id).stem if prediction.id == prediction.clip else prediction.id
    safe = re.sub(r"[^\w.+-]+", "_", unicodedata.normalize("NFC", told)).strip("._") or "clip"
    safe = f"_{safe}" if _RESERVED.fullmatch(safe) else safe
    stem = name = safe.encode()[:LONGEST].decode(errors="ignore")
    number = 2
    while name.casefold() in taken:
        name, number = f"{stem}-{number}", number + 1
    taken.add(name.casefold())
    return name


@contextmanager
def table(output: Path, names: Sequence[str]) -> Iterator[Callable[[Prediction], None]]:
    """Give a function that adds one prediction to a Parquet file, which gets its name when it is whole."""
    if output.exists() and not output.is_file():
        raise DataError(f"'{output}' is no file, expected the name of one", f"-o {output / 'predictions.parquet'}")
    with rundir.atomic(output) as part, parquet.rows(part, names) as write:
        yield write
