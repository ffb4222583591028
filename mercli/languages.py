"""Names of languages: transcripts, subtitles, Whisper and encoders each spell them their own way."""

from __future__ import annotations

import re

_NAMES = {
    "english": "en", "eng": "en", "german": "de", "deu": "de", "ger": "de", "french": "fr", "fra": "fr", "fre": "fr",
    "spanish": "es", "spa": "es", "italian": "it", "ita": "it", "portuguese": "pt", "por": "pt",
    "dutch": "nl", "nld": "nl", "dut": "nl",
}  # fmt: skip


def code(name: str | None) -> str | None:
    """Return the short code of a language given as "en", "en-US", "eng" or "English"; ``None`` stays ``None``."""
    if name is None or not name.strip():
        return None
    main = re.split(r"[-_]", name.strip().lower())[0]
    return _NAMES.get(main, main)
