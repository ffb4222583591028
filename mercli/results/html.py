"""Pages of one file: the package's templates filled in, styles, scripts and drawings inlined, nothing ever fetched."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

from mercli.results.section import Interval, Picture, Table
from mercli.results.style import ON_DARK

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
LARGEST = 150_000
"""Bytes of SVG beyond which a drawing comes as PNG, where that is smaller."""
COLOURS = {
    "#000000": "currentColor",
    "#dddddd": "var(--grid)",
    **{light.lower(): f"light-dark({light}, {dark})" for light, dark in ON_DARK.items()},
}
ABSENT = "–"


class Link(NamedTuple):
    """A cell that leads to another page; its address is relative to the page that it stands on."""

    text: str
    address: str


@cache
def environment() -> Environment:
    """Return the templates' environment: everything that is filled in is escaped, and a name must be known."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("mercli.results"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"asset": asset, "digest": digest}
    made.filters |= {"shown": shown, "drawn": drawn, "figures": figures}
    return made


def asset(name: str) -> Markup:
    """Return a file beside the templates as it is: a style sheet or a script."""
    from markupsafe import Markup

    loader = environment().loader
    assert loader is not None
    return Markup(loader.get_source(environment(), name)[0])  # noqa: S704 - the package's own file


def digest(script: str) -> str:
    """Return a script's source expression for a page's content security policy, which lets no other run."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def figures(table: Table) -> list[bool]:
    """Return of each column whether it is set as figures: nothing in it is a word."""
    cells = [[cell for cell in column if cell is not None] for column in zip(*table.rows, strict=True)]
    return [bool(column) and all(map(is_figure, column)) for column in cells] or [False] * len(table.columns)


def is_figure(cell: Any) -> bool:
    """Tell whether a cell is set as a figure: a number, an interval, a number with a dagger."""
    if isinstance(cell, str):
        return re.fullmatch(r"[-+]?\d+(\.\d+)?[†‡*]*", cell) is not None
    return isinstance(cell, (int, float, Interval)) and not isinstance(cell, bool)


def shown(cell: Any) -> str:
    """Return a cell as a reader sees it: three decimals, a true minus, a dash for what is undefined."""
    if isinstance(cell, Link):
        return _led(cell)
    if cell is None or cell == "":
        return ABSENT
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, Interval):
        return f"{shown(cell.low)} – {shown(cell.high)}"
    if isinstance(cell, float):
        return "<0.001" if 0 < cell < 0.0005 else f"{cell:.3f}".replace("-0.000", "0.000").replace("-", "−")
    return str(cell).replace("-", "−") if is_figure(cell) else str(cell)


def _led(link: Link) -> Markup:
    from markupsafe import Markup

    return Markup('<a href="{}">{}</a>').format(link.address, link.text)


def ink(colour: str) -> str:
    """Return a colour as a page writes it: a dark one has another that stands for it on a dark ground."""
    return COLOURS.get(colour.lower(), colour)


def drawn(picture: Picture, prefix: str) -> Markup:
    """Return a picture for a page: the drawing itself in the page's colours, or its PNG where the drawing is large.

    ``prefix`` keeps the names inside a drawing apart from those of the page's other drawings.
    """
    from markupsafe import Markup

    if len(picture.svg) > LARGEST and 4 * len(picture.png) / 3 < len(picture.svg):
        image = Markup('<img class="paper" alt="{}" src="data:image/png;base64,{}">')
        return image.format(picture.alt, b64encode(picture.png).decode())
    return Markup(_inline(picture, prefix))  # noqa: S704 - written by ElementTree, which escapes


def _inline(picture: Picture, prefix: str) -> str:
    """Return the SVG without prolog, metadata and style sheet, its names prefixed, its black and white the page's."""
    root = ElementTree.fromstring(picture.svg)  # noqa: S314 - our own drawing
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.removeprefix(SVG) in ("metadata", "style", "script"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        given = {("href" if key == LINK else key): value for key, value in element.attrib.items()}
        element.attrib = {key: _restyled(element.tag, key, value, prefix) for key, value in given.items()}
    root.attrib |= {"role": "img", "aria-label": picture.alt}
    return ElementTree.tostring(root, encoding="unicode")


def _restyled(tag: str, key: str, value: str, prefix: str) -> str:
    if key == "id":
        return f"{prefix}-{value}"
    if key == "href":
        return value.replace("#", f"#{prefix}-", 1) if value.startswith("#") else value
    if key in ("d", "points", "x", "y"):
        return re.sub(r"(\.\d\d)\d+", r"\1", value)
    value = value.replace("url(#", f"url(#{prefix}-")
    if key == "style":
        for light, own in COLOURS.items():
            value = value.replace(light, own)
        if tag != "text":  # white letters stand on a coloured cell, whatever the page's scheme
            value = value.replace("#ffffff", "var(--paper)")
    return value
