"""``mer report timeline``: one clip over time, predicted now or as a file of predictions has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mercli import rundir
from mercli.config import PredictConfig
from mercli.errors import DataError
from mercli.jobs.clips.cutting import Medium, Piece, Source, cut, length
from mercli.registry import near
from mercli.results import timeline as drawn
from mercli.results.exports import tiers
from mercli.results.section import Picture, Section, Table
from mercli.types import MODALITIES, Prediction, StreamSettings

if TYPE_CHECKING:
    from mercli.types import ByteArray


def timeline(clip: Path, config: PredictConfig, predictions: Path | None = None) -> Section:
    """Return a clip's probabilities over time with its words and faces, predicted unless ``predictions`` has them.

    Raises ``DataError`` where the clip has no answer, or none that has a time.
    """
    strip = _Strip(clip)
    answers = list(read(predictions, clip)) if predictions else _predicted(clip, config, strip)
    timed = [answer for answer in answers if answer.end is not None]
    if other := next((answer for answer in answers if answer.kind != "one-of"), None):
        raise DataError(
            f"a timeline shows one class at a time, and '{other.run}' answers in a {other.kind} scheme",
            "mer predict ... --windows 2/1 --format csv",
        )
    if all(answer.error for answer in timed):
        raise DataError(next((a.error for a in answers if a.error), f"'{clip}' has no length, a timeline needs one"))
    if predictions:
        strip.look(timed)
    seconds = strip.seconds or max(answer.end or 0.0 for answer in timed)
    stem = f"timeline-{clip.stem}"
    rows = [tier for tier in tiers.tiers(timed, seconds) if tier.marks or _missing(tier, timed) or not tier.emotion]
    windows = tiers.windows(timed, seconds)
    title = f"{clip.name}: {', '.join(tiers.models(windows))}"
    picture = Picture(
        stem, title, _said(title, rows[0], seconds), **drawn.picture(windows, rows, strip.faces, seconds, title)
    )
    document = {"clip": str(clip), "seconds": round(seconds, 3), "windows": [_facts(answer) for answer in timed]}
    notes = tuple(_notes(timed, rows, strip, seconds))
    return Section(stem, f"Timeline of {clip.name}", document, (_table(stem, timed),), (picture,), notes)


@dataclass
class _Strip:
    """The clearest face near the middle of each place of the strip, of those the model looks at."""

    clip: Path
    seconds: float = 0.0
    faces: dict[int, ByteArray] = field(default_factory=dict)
    away: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.clip.is_file():
            self.seconds = length(Source((Medium(self.clip, ()),)))

    def see(self, piece: Piece) -> None:
        """Keep the faces of a piece that are nearer to the middle of their place than those before."""
        streams = piece.streams
        if streams.faces is None or streams.face_times is None or streams.face_confidence is None or not self.seconds:
            return
        for crop, offset, sure in zip(streams.faces, streams.face_times, streams.face_confidence, strict=True):
            time = float(offset) + piece.start
            place = drawn.slot(time, self.seconds)
            away = abs(time - (place + 0.5) * self.seconds / drawn.SLOTS)
            if sure > 0 and away < self.away.get(place, self.seconds):
                self.faces[place], self.away[place] = crop.copy(), away

    def look(self, answers: Sequence[Prediction]) -> None:
        """Find the faces of a clip that was predicted earlier, if it is still here and a face was used."""
        if self.seconds and any("face" in answer.modalities for answer in answers):
            asked = sorted({(a.start, min(a.end or 0.0, self.seconds)) for a in answers if a.start < self.seconds})
            for piece in cut(Medium(self.clip, ("face",)), asked, StreamSettings(), "speaker"):
                self.see(piece)


def _predicted(clip: Path, config: PredictConfig, strip: _Strip) -> list[Prediction]:
    from mercli.jobs.clips.items import of_file
    from mercli.jobs.predict import Predictor

    return list(Predictor(config, watch=strip.see).predict(of_file(str(clip), clip)))


def read(path: Path, clip: Path) -> Iterator[Prediction]:
    """Yield a clip's answers from what ``mer predict --format jsonl`` wrote: by its path, else by its file's name.

    Raises ``DataError`` for a row that is no prediction, and where the clip has none.
    """
    from pydantic import TypeAdapter, ValidationError

    rows = list(rundir.read_lines(path))
    same = [row for row in rows if row.get("clip") == str(clip)]
    same = same or [row for row in rows if Path(str(row.get("clip"))).name == clip.name]
    if not same:
        known = sorted({str(row.get("clip")) for row in rows})
        raise DataError(f"'{path}' holds no prediction of '{clip}'{near(str(clip), known)}", f"mer predict '{clip}'")
    adapter = TypeAdapter(Prediction)
    for row in same:
        try:
            yield adapter.validate_python(row)
        except ValidationError as fault:
            first = fault.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(f"'{path}' holds a row that is no prediction: '{where}': {first['msg'].lower()}") from fault


def _missing(tier: tiers.Tier, answers: Sequence[Prediction]) -> bool:
    """Tell whether a tier is empty because its modality was never there, not because nobody asked for it alone."""
    modality = tier.name.rpartition(" ")[2]
    return not any(modality in answer.modalities for answer in answers)


def _facts(answer: Prediction) -> dict[str, Any]:
    names = ("run", "start", "end", "label", "scores", "alone", "modalities", "missing", "text", "words", "error")
    return {name: getattr(answer, name) for name in names}


def _table(stem: str, answers: Sequence[Prediction]) -> Table:
    classes = list(dict.fromkeys(name for answer in answers for name in answer.scores))
    told = [m for m in MODALITIES if any(m in (answer.alone or {}) for answer in answers)]
    columns = ("model", "start", "end", "label", *classes, *(f"{m} alone" for m in told), "text", "error")
    rows = [
        (a.run, a.start, a.end, a.label, *(a.scores.get(name) for name in classes),
         *(_best((a.alone or {}).get(m)) for m in told), a.text, a.error)
        for a in answers
    ]  # fmt: skip
    return Table(stem, "answers of each window", columns, rows, keys=3)


def _best(scores: Any) -> str | None:
    return max(scores, key=lambda name: scores[name]) if scores else None


def _said(title: str, fused: tiers.Tier, seconds: float) -> str:
    """Return what the picture shows: which labels hold how much of the time."""
    shares: dict[str, int] = {}
    for mark in fused.marks:
        shares[mark.text] = shares.get(mark.text, 0) + mark.end - mark.start
    parts = [f"{name} {time / 10 / seconds:.0f} %" for name, time in sorted(shares.items(), key=lambda pair: -pair[1])]
    return f"{title}: over {seconds:.1f} seconds, {', '.join(parts) or 'no answer'}."


def _notes(answers: Sequence[Prediction], rows: Sequence[tiers.Tier], strip: _Strip, seconds: float) -> Iterator[str]:
    if not strip.seconds:
        yield f"without faces: '{strip.clip}' is not here"
    elif not strip.faces:
        why = next((answer.missing["face"] for answer in answers if "face" in answer.missing), "no face was used")
        yield f"without faces: {why}"
    if not any(answer.alone for answer in answers):
        yield "without what each modality says alone, for which mer predict --alone asks"
    if not rows[-1].marks:
        why = next((answer.missing["text"] for answer in answers if "text" in answer.missing), "no words")
        yield f"without words: {why}"
    elif not drawn.laid_out(rows, seconds):
        yield "the words are too many for the picture; they are in the table"
    failed = sum(answer.error is not None for answer in answers)
    if failed:
        yield f"{failed} of {len(answers)} windows have no answer"
