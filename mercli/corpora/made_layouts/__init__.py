"""The layouts a made corpus can take, one file each: which files an official release consists of, and their names."""

from __future__ import annotations

from mercli.corpora.made_layouts import afew, cremad, iemocap, meld, mosei, ravdess
from mercli.corpora.made_layouts.plan import Csd, Layout, MadeClip, Plan, Shot, Utterance, draw

__all__ = ["LAYOUTS", "Csd", "Layout", "MadeClip", "Plan", "Shot", "Utterance", "draw"]

LAYOUTS: dict[str, Layout] = {
    "meld": meld.LAYOUT,
    "iemocap": iemocap.LAYOUT,
    "mosei": mosei.LAYOUT,
    "afew": afew.LAYOUT,
    "ravdess": ravdess.LAYOUT,
    "cremad": cremad.LAYOUT,
}
