"""ELAN's annotation format (EAF 3.0): a tier an answer, its probability on a tier below, labels from a vocabulary."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Sequence
from urllib.parse import quote
from xml.etree import ElementTree as ET

from mercli.results.exports.tiers import Mark, Recording, Tier, labels, tiers
from mercli.types import Prediction

DATE = "1970-01-01T00:00:00+00:00"
"""The format demands a date, and the same answers must give the same file."""
EMOTION, PROBABILITY, WORDS = "emotion", "probability", "words"
LANGUAGE = "und"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
CONSTRAINTS = {
    "Time_Subdivision": "Time subdivision of parent annotation's time interval, no time gaps allowed within this "
    "interval",
    "Symbolic_Subdivision": "Symbolic subdivision of a parent annotation. Annotations refering to the same parent are "
    "ordered",
    "Symbolic_Association": "1-1 association with a parent annotation",
    "Included_In": "Time alignable annotations within the parent annotation's time interval, gaps are allowed",
}


def eaf(predictions: Sequence[Prediction], recording: Recording) -> str:
    """Return a clip's tiers as an EAF document that names its medium."""
    ET.register_namespace("xsi", XSI)
    root = ET.Element("ANNOTATION_DOCUMENT", AUTHOR="mer", DATE=DATE, FORMAT="3.0", VERSION="3.0")
    root.set(f"{{{XSI}}}noNamespaceSchemaLocation", SCHEMA)
    every = tiers(predictions, recording.seconds)
    slots = _slots(every)
    written, count = _tiers(every, slots)
    root.append(_header(recording, count))
    order = ET.SubElement(root, "TIME_ORDER")
    for (time, *_), slot in slots.items():
        ET.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time))
    root.extend(written)
    root.extend(_types())
    ET.SubElement(root, "LANGUAGE", LANG_ID=LANGUAGE, LANG_LABEL="undetermined (und)")
    for stereotype, description in CONSTRAINTS.items():
        ET.SubElement(root, "CONSTRAINT", STEREOTYPE=stereotype, DESCRIPTION=description)
    root.append(_vocabulary(labels(predictions)))
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _header(recording: Recording, last: int) -> ET.Element:
    header = ET.Element("HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    media = recording.media.absolute()
    kind, _ = mimetypes.MimeTypes().guess_type(media.as_uri())
    told = {"MEDIA_URL": media.as_uri(), "MIME_TYPE": kind or "unknown"}
    if recording.folder is not None:
        relative = os.path.relpath(media, recording.folder.absolute())
        relative = relative if relative.startswith("..") else f"./{relative}"
        told["RELATIVE_MEDIA_URL"] = quote(os.fsencode(relative.replace(os.sep, "/")))
    ET.SubElement(header, "MEDIA_DESCRIPTOR", told)
    ET.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(last)
    return header


Slots = dict[tuple[int, int, Mark], str]


def _slots(every: Sequence[Tier]) -> Slots:
    """Return a time slot for each end of each mark, by time, number of its tier and mark, in order of time.

    No two annotations share one: dragging a border in ELAN must not move another tier's.
    """
    ends = [(time, n, mark) for n, tier in enumerate(every) for mark in tier.marks for time in (mark.start, mark.end)]
    ordered = sorted(ends, key=lambda end: (end[0], end[1], end[2].start))
    return {end: f"ts{number}" for number, end in enumerate(ordered, start=1)}


def _tiers(every: Sequence[Tier], slots: Slots) -> tuple[list[ET.Element], int]:
    """Return the tiers, and how many annotations they have."""
    written, count = [], 0
    for n, tier in enumerate(every):
        kind = EMOTION if tier.emotion else WORDS
        marks = ET.Element("TIER", LINGUISTIC_TYPE_REF=kind, TIER_ID=tier.name)
        below = ET.Element(
            "TIER", LINGUISTIC_TYPE_REF=PROBABILITY, PARENT_REF=tier.name, TIER_ID=f"{tier.name} {PROBABILITY}"
        )
        for mark in tier.marks:
            count += 1
            start, end = slots[mark.start, n, mark], slots[mark.end, n, mark]
            own = {"ANNOTATION_ID": f"a{count}", "TIME_SLOT_REF1": start, "TIME_SLOT_REF2": end}
            _annotation(marks, "ALIGNABLE_ANNOTATION", own, mark.text)
            if tier.emotion:
                count += 1
                own = {"ANNOTATION_ID": f"a{count}", "ANNOTATION_REF": f"a{count - 1}"}
                _annotation(below, "REF_ANNOTATION", own, f"{mark.probability:.3f}")
        written += [marks, below] if tier.emotion else [marks]
    return written, count


def _annotation(tier: ET.Element, kind: str, own: dict[str, str], text: str) -> None:
    outer = ET.SubElement(tier, "ANNOTATION")
    ET.SubElement(ET.SubElement(outer, kind, own), "ANNOTATION_VALUE").text = text


def _types() -> list[ET.Element]:
    told = {
        EMOTION: {"CONTROLLED_VOCABULARY_REF": EMOTION, "TIME_ALIGNABLE": "true"},
        PROBABILITY: {"CONSTRAINTS": "Symbolic_Association", "TIME_ALIGNABLE": "false"},
        WORDS: {"TIME_ALIGNABLE": "true"},
    }
    return [
        ET.Element("LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID=name, attrib=facts)
        for name, facts in told.items()
    ]


def _vocabulary(names: Sequence[str]) -> ET.Element:
    vocabulary = ET.Element("CONTROLLED_VOCABULARY", CV_ID=EMOTION)
    ET.SubElement(vocabulary, "DESCRIPTION", LANG_REF=LANGUAGE)
    for number, name in enumerate(names, start=1):
        entry = ET.SubElement(vocabulary, "CV_ENTRY_ML", CVE_ID=f"cveid{number}")
        ET.SubElement(entry, "CVE_VALUE", DESCRIPTION="", LANG_REF=LANGUAGE).text = name
    return vocabulary
