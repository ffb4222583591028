"""The JSON schema of a manifest: a row of each of its three tables, made from the dataclasses, and ``corpus.yaml``."""

from __future__ import annotations

import json
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from mercli.contracts import Excluded, Folds
from mercli.types import Clip, LabelMap, LabelScheme, Segment

ABOUT = """\
Clips, segments and excluded are rows of clips.jsonl, segments.jsonl and excluded.jsonl; corpus is corpus.yaml. A row
leaves out every field that holds nothing. Take one by its place: {"$ref": "manifest.schema.json#/$defs/segment"}."""


class Corpus(TypedDict):
    """corpus.yaml: what is known of a prepared corpus beside its rows; a reader of yours may add keys."""

    name: Annotated[str, Field(description="The folder's name: what --corpora takes.")]
    reader: Annotated[str, Field(description="The plugin that read it: one of `mer list corpora`.")]
    version: Annotated[str, Field(description="That plugin's version.")]
    options: Annotated[dict[str, Any], Field(description="Its options, as given.")]
    root: Annotated[str, Field(description="Where the raw corpus lies; media paths are relative to it.")]
    scheme: Annotated[LabelScheme, Field(description="The corpus's own labels.")]
    licence: NotRequired[str | None]
    language: NotRequired[
        Annotated[str | None, Field(description="What is spoken or written, as a code; null without words.")]
    ]
    identity: NotRequired[
        Annotated[str | None, Field(description="Which known corpus it is: encoders that saw it are marked.")]
    ]
    label_map: NotRequired[Annotated[LabelMap | None, Field(description="Its labels in the canonical classes.")]]
    policy: NotRequired[Annotated[str, Field(description="How ambiguous labels were decided, as reports print it.")]]
    schemes: NotRequired[Annotated[list[LabelScheme], Field(description="Further labels that segments carry.")]]
    splits: NotRequired[Annotated[str, Field(description="Whose splits these are, or the rule and seed they are by.")]]
    layout: NotRequired[Annotated[str, Field(description="Which form of the corpus was found.")]]
    expected: NotRequired[Annotated[str | None, Field(description="The known counts that --check compares with.")]]
    separates: Annotated[list[str], Field(description="What the splits promise to keep apart: speaker, dialogue.")]
    known: Annotated[list[str], Field(description="Overlaps that are part of the corpus; `mer audit` prints them.")]
    folds: Annotated[dict[str, Folds], Field(description="Named cross-validations that --split takes.")]
    made: NotRequired[Annotated[bool, Field(description="Whether `mer` itself made the corpus.")]]
    strength: NotRequired[Annotated[float, Field(description="Of a made corpus: how often a cue tells the truth.")]]
    seed: NotRequired[Annotated[int, Field(description="Of a made corpus: what it was drawn with.")]]


def text() -> str:
    """Return the schema as the text of its file."""
    rows = {"clip": Clip, "segment": Segment, "excluded": Excluded}
    shared: dict[str, Any] = {}
    own = {name: _without_empty(_of(kind, shared)) for name, kind in rows.items()}
    # a word stands in a row whole, nulls and all; only the row itself leaves its empty fields out
    corpus = _of(Corpus, shared)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mer manifest",
        "description": " ".join(ABOUT.split()),
        "$defs": {**own, "corpus": corpus, **dict(sorted(shared.items()))},
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _of(kind: Any, shared: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type; the types that it names are added to ``shared``."""
    schema = TypeAdapter(kind).json_schema()
    shared |= schema.pop("$defs", {})
    return schema


def _without_empty(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a row: fields that may be empty are then absent, and no others are allowed."""
    properties = {name: _filled(field) for name, field in schema["properties"].items()}
    return {**schema, "properties": properties, "additionalProperties": False}


def _filled(field: dict[str, Any]) -> dict[str, Any]:
    field = {key: value for key, value in field.items() if key != "default"}
    kinds = [kind for kind in field.pop("anyOf", []) if kind != {"type": "null"}]
    return {**field, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})}
