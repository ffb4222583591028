"""A browser, and the pages that it opens: a report, a clip beside its timeline, and what leads to such clips."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mercli.results.exports import index_page
from mercli.results.exports.clip_page import page
from mercli.results.exports.tiers import Recording
from mercli.types import Prediction, Word
from tests.results.pages import SCRIPT, report

CLIP = Path(__file__).parents[2] / "examples" / "hello.mp4"
SECONDS = 4.44


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
    if found is None:
        pytest.skip("no chromium and no google-chrome is installed")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--headless"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {name: folder / f"{name}.html" for name in ("report", "clip", "index")}
    made["report"].write_text(report(), encoding="utf-8")
    shutil.copy(CLIP, folder / "a & b.mp4")
    recording = Recording(folder / "a & b.mp4", SECONDS, folder)
    made["clip"].write_text(page(answers(), recording), encoding="utf-8")
    short = [replace(each, id="c.mp4") for each in answers()[:1]]
    found = [*index_page.entries(answers(), "clip.html"), *index_page.entries(short, "c.html")]
    made["index"].write_text(index_page.index(found), encoding="utf-8")
    return made


def answers() -> list[Prediction]:
    """Return windows of two seconds a second apart, one without an answer, words on the way."""
    names = ("neutral", "happy", "sad", "angry", "surprise", "fear", "disgust")
    words = (Word("hello", 0.2, 0.6), Word(SCRIPT, 1.0, 1.4), Word("day", 3.0, 3.4))
    made = []
    for number, start in enumerate((0.0, 1.0, 2.0, 2.44)):
        first = (0.9, 0.2, 0.1, 0.5)[number]
        scores = {name: first if name == "happy" else (1 - first) / 6 for name in names}
        own = tuple(word for word in words if start <= word.start < start + 2)
        answer = Prediction("a & b.mp4", "a & b.mp4", start, start + 2, "canonical-7", scores, "happy", "embedded")
        text = " ".join(word.text for word in own)
        made.append(replace(answer, modalities=("audio",), missing={"face": "no face"}, words=own, text=text))
    return [*made[:2], replace(made[2], scores={}, label=None, modalities=(), error="nothing to predict"), made[3]]


@contextmanager
def opened(browser: Any, path: Path, *, complaint: str | None = None, **context: Any) -> Iterator[Any]:
    """Open a page; on leaving, nothing may have been fetched from elsewhere or asked of the reader.

    Nor may the console hold more than the one ``complaint`` that is expected.
    """
    said: list[str] = []
    with browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}) as own:
        tab = own.new_page()
        tab.on("console", lambda message: said.append(f"console: {message.text}"))
        tab.on("pageerror", lambda fault: said.append(f"error: {fault}"))
        tab.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        tab.on("request", lambda request: None if request.url[:5] in ("file:", "data:") else said.append(request.url))
        tab.goto(path.as_uri())
        yield tab
    assert [each for each in said if complaint is None or complaint not in each] == []
    assert complaint is None or len(said) == 1
