"""The gallery: every picture on the page is there, small, and is what its command still draws."""

from __future__ import annotations

import importlib.util
import re
import struct
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("gallery", DOCS / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["gallery"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["gallery"]


def _size(picture: Path) -> tuple[int, int]:
    """Return the width and height in the header of a PNG."""
    head = picture.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n", picture.name
    return struct.unpack(">II", head[16:24])


def test_the_page_shows_each_picture_once_with_its_caption(gallery):
    page = (DOCS / "gallery.md").read_text()
    shown = re.findall(r"!\[.+\]\(gallery/(\S+)\)\n\n([^`#!]+(?:`[^`]+`[^`#!]+)*)\n\n```sh\nmer report ", page)
    on_disk = sorted(path.name for path in (DOCS / "gallery").iterdir())
    assert sorted(name for name, _ in shown) == on_disk == sorted(each.name for each in gallery.PICTURES)
    assert [" ".join(caption.split()) for _, caption in shown] == [each.caption for each in gallery.PICTURES]
    assert len(on_disk) >= 12


def test_pictures_are_small_files_that_can_be_read(gallery):
    for each in gallery.PICTURES:
        picture = DOCS / "gallery" / each.name
        width, height = _size(picture)
        assert picture.stat().st_size < MOST_BYTES, each.name
        assert 600 <= width <= 1600, each.name
        assert height <= 1600, each.name


@pytest.mark.slow
def test_the_commands_draw_the_pictures_of_the_gallery(gallery, tmp_path):
    # smaller corpora and one seed: bytes differ between machines (fonts, arithmetic) in any case, names do not
    drawn = list(gallery.draw(tmp_path, clips=35, seeds=1))
    assert [path.name for path in drawn] == [each.name for each in gallery.PICTURES]
    for path in drawn:
        assert abs(_size(path)[0] - _size(DOCS / "gallery" / path.name)[0]) <= 60, path.name
