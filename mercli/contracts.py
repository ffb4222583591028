"""What a plugin of each kind must offer; ``tests/contracts`` holds every registered plugin to it.

A builder takes its kind's inputs positionally and its own options keyword-only; it returns one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

from mercli.types import Clip, Feature, LabelScheme, Segment, Streams, StreamSettings, Transcript

if TYPE_CHECKING:
    import torch

    from mercli.types import FloatArray

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class TrainedOn:
    """Data that an encoder's weights have seen: figures for it are never published as transfer."""

    corpus: str
    split: str
    speakers: tuple[str, ...] = ()

    @classmethod
    def told(cls, entry: str) -> TrainedOn:
        """Return what a user's ``corpus`` or ``corpus:split`` says."""
        corpus, _, split = entry.partition(":")
        return cls(corpus, split or "all")


class Encoder(Protocol):
    """Turns one modality of aligned streams into features; built by ``builder(*, options)``.

    ``encode`` receives streams whose modality is present. A feature without a valid row means: nothing found here. An
    encoder whose attribute ``half`` is true has a large network: it runs under autocast where the recipe's precision
    says so, and on all threads of its process; others run in float32 on one thread. One whose attribute
    ``needs_streams`` is false (ready-made features) gets every segment once, as streams with an ``id`` alone. Its torch
    network, where it is its attribute ``network``, can be an ONNX graph (``mer bundle export``); a network whose
    operations ONNX lacks may give the same function in others by a method ``as_graph``.
    """

    modality: str
    dim: int
    settings: StreamSettings
    weights: str
    trained_on: tuple[TrainedOn, ...]

    def to(self, device: str) -> None:
        """Move the network, where there is one, to ``cpu`` or ``cuda:i``."""
        ...

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (T, dim) per item, in order."""
        ...


@runtime_checkable
class Learner(Encoder, Protocol):
    """An encoder of sound or faces whose network can learn along with a head (``mer train --end-to-end``).

    ``encode`` goes through the same ``inputs`` and ``rows``, so that what is trained is what is extracted; a segment
    is seen at once (``settings.longest`` is ``None``). ``place``: the option that names the folder ``save`` leaves. Its
    builder is registered with the fact ``learns=True``.
    """

    place: str

    def learn(self) -> torch.nn.Module:
        """Return the network that ``rows`` go through, with those of its parameters free that may learn."""
        ...

    def inputs(self, batch: Sequence[Streams]) -> Mapping[str, torch.Tensor]:
        """Return what of B segments goes through the network, prepared on the CPU; any may lack the modality."""
        ...

    def rows(self, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return values float32 (B, T, dim), with gradient where it is asked for, and which are valid (B, T)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the weights into a folder that is there, as the option ``place`` reads them."""
        ...


@dataclass(eq=False)
class Batch:
    """Padded features of B segments.

    ``values`` {m: float32 (B, T_m, D_m)}, ``valid`` {m: bool (B, T_m)}, ``present`` bool (B, M) in the order of
    ``modalities``; ``targets`` (B,) class indices, (B, K) for many-of and values; ``log_prior`` (B, K) where training
    adjusts logits by each corpus's own prior. ``talk`` int64 (B, 3) for a head that asks for it (``needs_dialogue``):
    the number of each segment's dialogue, its turn there, and the number of its speaker, -1 where that is not known.
    ``soft`` (B, K): the logits of a teacher, NaN where it has none; the loop learns from them, a head need not.
    """

    modalities: tuple[str, ...]
    values: Mapping[str, torch.Tensor]
    valid: Mapping[str, torch.Tensor]
    present: torch.Tensor
    targets: torch.Tensor | None = None
    log_prior: torch.Tensor | None = None
    talk: torch.Tensor | None = None
    soft: torch.Tensor | None = None


@dataclass(eq=False)
class HeadOutput:
    """``logits`` (B, K) and named extras (gates, attention maps)."""

    logits: torch.Tensor
    extras: Mapping[str, torch.Tensor] = field(default_factory=dict)


class Head(Protocol):
    """A ``torch.nn.Module`` over features; built by ``builder(dims, scheme, *, options)``.

    ``dims`` {modality: D}. The plugin's fact ``kinds`` names the kinds of label schemes that it serves, one-of if it
    tells none. ``forward`` is finite for every non-empty subset of its modalities. A head whose attribute
    ``needs_dialogue`` is true gets whole dialogues, and is told them (``Batch.talk``). An attribute ``tables`` may
    name, for a reader, the tables (a, n) that an extra holds of each segment: ``{extra: names (a,)}``.
    """

    modalities: tuple[str, ...]

    def __call__(self, batch: Batch) -> HeadOutput:
        """Return logits (B, K) and extras."""
        ...

    def loss(self, output: HeadOutput, batch: Batch) -> torch.Tensor:
        """Return the scalar training loss for ``batch.targets``."""
        ...


@dataclass(frozen=True)
class Excluded:
    """A unit a reader leaves out, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Erratum:
    """A known fault of a release: ``ids`` are clips (or dialogues, where ``by`` says so), ``mask`` what not to use.

    Without ``mask`` the clip is only flagged: dropping it would change an official size.
    """

    kind: str
    ids: tuple[str, ...]
    note: str
    mask: tuple[str, ...] = ()
    by: Literal["clip", "dialogue"] = "clip"


@dataclass(frozen=True)
class Expected:
    """How many segments a release has: ``counts`` {part: {label: n}}.

    A part is a split, ``all``, or the value of the key ``by`` in each clip's ``meta``. A release whose copies are known
    to differ is not ``exact``: another count is told, and no fault.
    """

    counts: Mapping[str, Mapping[str, int]]
    by: str = "split"
    exact: bool = True


@dataclass(frozen=True)
class Folds:
    """A named cross-validation: each fold's test and dev groups (speakers, dialogues or clips); the rest trains."""

    group: Literal["speaker", "dialogue", "clip"]
    folds: tuple[Mapping[str, tuple[str, ...]], ...]
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known of a release beside its files.

    ``separates``: what official splits promise to keep apart (``speaker``, ``dialogue``); ``known``: overlaps that are
    part of the corpus; ``expected`` by the name of a variant.
    """

    separates: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    errata: tuple[Erratum, ...] = ()
    expected: Mapping[str, Expected] = field(default_factory=dict)
    folds: Mapping[str, Folds] = field(default_factory=dict)


class CorpusReader(Protocol):
    """Reads a raw corpus; built by ``builder(*, options)``. Never writes inside it.

    ``read`` yields each clip before its segments, and what it leaves out with the reason. ``facts`` hold what the files
    do not say; ``prepare`` applies the errata, so a reader does not.
    """

    scheme: LabelScheme
    facts: Facts

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the clips, segments and exclusions of corpus ``name``; raise ``DataError`` for another root."""
        ...

    def card(self) -> Mapping[str, Any]:
        """Return what ``corpus.yaml`` keeps: licence, language, label map and policy, splits, layout, further schemes.

        Asked for once ``read`` has yielded. ``expected`` names the variant of ``facts.expected`` that was read.
        """
        ...


class Transcriber(Protocol):
    """Finds the words of a clip; built by ``builder(*, options)``."""

    def transcribe(self, medium: Path, audio: Callable[[], Iterable[FloatArray]] | None) -> Transcript | None:
        """Return the transcript, or ``None`` where this source has none.

        ``audio()`` streams 16 kHz mono float32 chunks from the start of the clip; ``None`` where there is no audio.
        """
        ...


class Engine(Protocol):
    """Spreads units of work; built by ``builder(device, *, options)``: on which device the user wants it done.

    An attribute ``peaks`` may tell the most bytes that each worker process of the last map has held.
    """

    def map(
        self, work: Callable[[Item], Result], items: Iterable[Item], lost: Callable[[Item, str], Result] | None = None
    ) -> Iterator[Result]:
        """Yield ``work(item)`` in the order of ``items``.

        ``lost(item, why)`` stands for an item that worker processes died of; without it that raises ``DataError``.
        """
        ...
