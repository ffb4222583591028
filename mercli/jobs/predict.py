"""``mer predict``: items become predictions; models load once, one bad item never stops the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from math import ceil, inf
from pathlib import Path

from mercli import log
from mercli.config import PredictConfig, Recipe
from mercli.engines.devices import resolve
from mercli.engines.local import Local
from mercli.errors import ConfigError, DataError
from mercli.fusion import bundle as bundles
from mercli.fusion import dialogues, readout
from mercli.jobs.answers import deciding
from mercli.jobs.clips.cutting import Medium, Piece, Source, Window, length, pieces
from mercli.jobs.clips.items import Item
from mercli.jobs.clips.transcripts import Finder, given_text, speech, trusted
from mercli.jobs.features import encoding, graphs, nearby
from mercli.types import FeatureBundle, Prediction, Transcript, Word

SHIPPED = "embedded"
GIVES = {"video": ("audio", "face"), "audio": ("audio",), "image": ("face",)}


def bundle_folder(name: str) -> Path:
    """Return where a bundle lies: the shipped one by name, else a path."""
    return Path(__file__).parent.parent / "assets" / "embedded" / "bundle" if name == SHIPPED else Path(name)


@dataclass(frozen=True, eq=False)
class _Group:
    """Bundles that share a recipe, so that a clip is decoded and encoded once for all of them."""

    recipe: Recipe
    encoders: encoding.EncoderSet
    bundles: tuple[bundles.Bundle, ...]


class Predictor:
    """Holds the loaded models of one configuration; ``watch`` is shown every piece before it is encoded."""

    def __init__(self, config: PredictConfig, watch: Callable[[Piece], None] | None = None) -> None:
        self.config = config
        self.watch = watch
        self.finder = Finder(config.transcriber, resolve(config.device))
        self.tiles = size_step(config.windows) if config.windows is not None else None
        self.groups = _groups(config)
        for bundle in (bundle for group in self.groups for bundle in group.bundles):
            deciding.refuse(bundle, explain=config.explain, abstain=config.abstain)
        self.priors = {id(b.card): deciding.prior(b, config.prior) for group in self.groups for b in group.bundles}

    def predict(self, item: Item) -> Iterator[Prediction]:
        """Yield the item's predictions, window by window; a fault becomes one prediction with ``error`` per model."""
        for group in self.groups:
            try:
                yield from self._item(item, group)
            except DataError as fault:  # the unit boundary
                for bundle in group.bundles:
                    yield _failed(item, bundle, fault.message)

    def _item(self, item: Item, group: _Group) -> Iterator[Prediction]:
        if item.error:
            raise DataError(item.error)
        source, windows = self._source(item, group)
        texts: dict[int, Transcript] = {}
        every = _noted(pieces(source, windows, group.encoders.settings), texts, self.watch)
        keyed = ((piece.window, piece) for piece in every)
        spoken = [bundle for bundle in group.bundles if dialogues.asks(bundle.head)]
        held = []
        for window, features in encoding.features(group.encoders, keyed):
            text = texts.pop(window, None)
            for bundle in group.bundles:
                if bundle not in spoken:
                    yield self._decide(item, bundle, features, windows[window], text)
            if spoken:
                held.append((features, windows[window], text))
        for bundle in spoken:  # the windows of a clip are one dialogue, which such a head needs as a whole
            rows = bundles.in_dialogue(bundle, [features for features, _, _ in held])
            for row, (features, place, text) in zip(rows, held, strict=True):
                yield self._decide(item, row, features, place, text)

    def _source(self, item: Item, group: _Group) -> tuple[Source, list[Window]]:
        media_files = tuple(
            Medium(path, tuple(m for m in GIVES[what] if m in group.encoders.encoders)) for what, path in item.media
        )
        if item.audio and item.video:
            media_files = tuple(Medium(m.path, ("face",)) if m.path == item.video else m for m in media_files)
        source = Source(media_files, face=item.face or self.config.face or group.recipe.face)
        seconds = length(source)
        if seconds and item.start >= seconds:
            raise DataError(f"'{item.clip}' is {seconds:.2f} s long, and its part from {item.start} s was asked for")
        whole = (item.start, min(seconds, item.end) if item.end is not None and seconds else seconds)
        windows = self._windows(item, whole)
        given = item.text is not None or self.config.text is not None
        full = len(windows) == 1 and item.start == 0 and item.end is None
        transcript, reason = self._transcript(item), self.finder.reason
        return replace(source, transcript=transcript, no_text=reason, whole=full or given), windows

    def _transcript(self, item: Item) -> Transcript | None:
        given = self.config.text if self.config.text is not None else item.text
        if given is not None:
            return given_text(given)
        return self.finder.of(item.media[0][1]) if item.media and not item.image else None

    def _windows(self, item: Item, whole: Window) -> list[Window]:
        if self.config.by_speech and (item.audio or item.video):
            found = [w for a, b in speech(item.audio or item.video) if (w := _inside(a, b, whole))]  # type: ignore[arg-type]
            if not found:
                log.logger.info("%s: no speech found, the whole clip is one segment", item.id)
            return found or [whole]
        if self.tiles is None or whole[1] <= whole[0]:
            return [whole]
        return tile(whole, *self.tiles)

    def _decide(
        self, item: Item, bundle: bundles.Bundle, features: FeatureBundle, window: Window, text: Transcript | None
    ) -> Prediction:
        present = tuple(m for m in bundle.card.dims if features.features.get(m) is not None)
        if not present:
            reasons = ", ".join(f"{m}: {why}" for m, why in features.missing.items())
            return _failed(item, bundle, f"nothing to predict from ({reasons})", window, features)
        trust = trusted(text) if text else None
        log_prior = self.priors[id(bundle.card)]
        scores = deciding.probabilities(bundle, features, log_prior, trust, present)
        chosen = int(scores.argmax())
        scheme = bundle.card.scheme
        explained = (
            deciding.shares(bundle, features, log_prior, trust, present, chosen) if self.config.explain else None
        )
        alone = deciding.alone(bundle, features, log_prior, trust, present) if self.config.alone else None
        return Prediction(
            id=item.id,
            clip=item.clip,
            start=round(window[0], 3),
            end=round(window[1], 3) if window[1] > window[0] else None,
            scheme=scheme.name,
            scores=deciding.named(bundle, scores),
            label=readout.label(scores, scheme) if scores[chosen] >= self.config.abstain else None,
            run=bundle.card.name,
            modalities=present,
            missing=features.missing,
            text=text.text if text else None,
            text_source=text.source if text else None,
            text_trust=trust,
            words=_rounded(text.words) if text else (),
            shares=explained,
            alone=alone,
            kind=scheme.kind,
        )


def _noted(
    every: Iterable[Piece], texts: dict[int, Transcript], watch: Callable[[Piece], None] | None
) -> Iterator[Piece]:
    """Pass pieces on, show them to who watches, and keep each window's transcript for its prediction."""
    for piece in every:
        if watch:
            watch(piece)
        if piece.streams.transcript is not None:
            texts[piece.window] = piece.streams.transcript
        yield piece


def _rounded(words: Iterable[Word]) -> tuple[Word, ...]:
    return tuple(replace(word, start=round(word.start, 3), end=round(word.end, 3)) for word in words)


def _groups(config: PredictConfig) -> list[_Group]:
    by_recipe: dict[tuple[str, ...], list[bundles.Bundle]] = {}
    for name in config.model:
        bundle = bundles.load(bundle_folder(name))
        text = nearby.recipe(bundle.card, bundle_folder(name)).model_dump_json()
        networks = [f"{modality} {bundles.sha256(content)}" for modality, content in bundle.graphs.items()]
        by_recipe.setdefault((text, *networks), []).append(bundle)
    groups = []
    for (text, *_), members in by_recipe.items():
        recipe = Recipe.model_validate_json(text)
        modalities = sorted({m for b in members for m in b.card.dims}, key=["audio", "face", "text"].index)
        with nearby.explained(members[0].card):
            encoders = encoding.build(recipe, modalities, _device(config, members[0]))
        for bundle in members:
            bundles.check_keys(bundle.card, encoders.keys)
        encoders = graphs.installed(encoders, members[0].graphs)
        groups.append(_Group(recipe, encoders, tuple(members)))
    return groups


def _device(config: PredictConfig, bundle: bundles.Bundle) -> str:
    """Return where a bundle's encoders compute; raises ``ConfigError`` for graphs that are wanted on a GPU."""
    if not bundle.card.graphs:
        return resolve(config.device)
    if config.device not in ("auto", "cpu"):
        raise ConfigError(f"bundle '{bundle.card.name}' is ONNX, which runs on the CPU here", "--device cpu")
    return "cpu"


def _failed(
    item: Item, bundle: bundles.Bundle, error: str, window: Window | None = None, features: FeatureBundle | None = None
) -> Prediction:
    start, end = window or (item.start, item.end)
    return Prediction(
        id=item.id,
        clip=item.clip,
        start=start,
        end=end,
        scheme=bundle.card.scheme.name,
        scores={},
        label=None,
        run=bundle.card.name,
        missing=features.missing if features else {},
        error=error,
        kind=bundle.card.scheme.kind,
    )


def size_step(text: str) -> tuple[float, float]:
    """Return seconds of ``SIZE/STEP`` or ``SIZE``; raises ``ConfigError`` for anything else."""
    size, _, step = text.partition("/")
    try:
        numbers = float(size), float(step or size)
    except ValueError:
        numbers = (0.0, 0.0)
    if not all(0 < number < inf for number in numbers):
        raise ConfigError(f"--windows '{text}' cannot be read, expected SIZE/STEP in seconds", "--windows 4/2")
    return numbers


def tile(whole: Window, size: float, step: float) -> list[Window]:
    """Return windows of ``size`` every ``step`` seconds; the last ends with the clip and nothing is left over."""
    start, end = whole
    count = max(1, ceil((end - start - size) / step - 1e-9) + 1)
    return [(start + k * step, min(end, start + k * step + size)) for k in range(count)]


def _inside(start: float, end: float, whole: Window) -> Window | None:
    start, end = max(start, whole[0]), min(end, whole[1])
    return (start, end) if start < end else None


def check_classes(config: PredictConfig, what: str) -> None:
    """Raise ``ConfigError`` for a model whose answers are no single classes, which ``what`` shows."""
    for name in config.model:
        scheme = bundles.load(bundle_folder(name)).card.scheme
        if scheme.kind != "one-of":
            raise ConfigError(
                f"{what} shows one class at a time, and '{name}' answers in the {scheme.kind} scheme '{scheme.name}'",
                "mer predict ... --format jsonl",
            )


def class_names(config: PredictConfig) -> tuple[str, ...]:
    """Return the classes of all the models, each once, in their order."""
    cards = [bundles.load(bundle_folder(name)).card for name in config.model]
    return tuple(dict.fromkeys(name for card in cards for name in card.scheme.names))


@cache
def _predictor(settings: str) -> Predictor:
    return Predictor(PredictConfig.model_validate_json(settings))


@dataclass(frozen=True)
class _Work:
    """A picklable piece of work: every worker builds its predictor once."""

    settings: str

    def __call__(self, item: Item) -> list[Prediction]:
        return list(_predictor(self.settings).predict(item))


def _lost(models: tuple[str, ...], item: Item, why: str) -> list[Prediction]:
    """Return what stands for an item that worker processes died of."""
    return [_failed(item, bundles.load(bundle_folder(name)), why) for name in models]


def predict(config: PredictConfig, items: Iterable[Item]) -> Iterator[list[Prediction] | Iterator[Prediction]]:
    """Yield each item's predictions in order; with one job they are made as they are read.

    Raises ``DataError`` or ``ConfigError`` at once for a bundle or prior that cannot be used.
    """
    settings = config.model_dump_json()
    if config.jobs == 1:
        predictor = _predictor(settings)
        yield from map(predictor.predict, items)
    else:
        yield from Local(config.jobs, config.device).map(_Work(settings), items, partial(_lost, config.model))
