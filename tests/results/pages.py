"""Sections for tests of pages, and a page read again: what an HTML parser of the standard library finds in it."""

from __future__ import annotations

from html.parser import HTMLParser

from mercli.results.page import Part, render
from mercli.results.section import INTERVAL, Interval, Picture, Section, Table
from mercli.results.style import STYLE, emotion
from mercli.results.style import render as rendered

SCRIPT = "<script>alert('in')</script>"


def picture(stem="drawn", title="run: a drawing", points=3):
    """Return a drawing with a black axis, white and nearly black letters on cells, and a colour too dark for night."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure((4, 3))
        axes = figure.subplots()
        axes.scatter(range(points), range(points), c=[emotion("fear")] * points, s=4)
        axes.text(0, 0, "pale", color="white")
        axes.text(1, 1, "dark", color="#111111")
        axes.set_title(f"title {SCRIPT}")
        return Picture(stem, title, f"{title}: it rises {SCRIPT}", **rendered(figure))


def table(stem="figures", rows=4, **further):
    cells = [(f"corpus {n}", [10, 9, 2, 100][n % 4], 0.5 - n, Interval(0.1, 0.9), n % 2 == 0) for n in range(rows)]
    cells.append((SCRIPT, 7, None, None, None))
    return Table(stem, f"Figures {SCRIPT}", ("corpus", "n", "UAR", INTERVAL, "seen"), cells, **further)


def part(name="run", title="A run", sections=None):
    made = sections or [
        Section("classes", f"Classes {SCRIPT}", {}, (table("drawn"),), (picture(),), (f"a note {SCRIPT}",)),
        Section("curves", "Curves", {}, (table("long", 60), table("apart", shown=False)), (picture("second"),)),
        Section("errors", "Errors", {}, (), (picture("third"), picture("fourth")), (), {"report.txt": SCRIPT}),
    ]
    facts = (("corpora", "one, two"), ("command", f"mer loco {SCRIPT}"))
    return Part(name, title, facts, table("main"), ("a first note",), made, (("one", f"left out {SCRIPT}"),))


def report():
    return render([part()])


class Read(HTMLParser):
    """Elements as (tag, attributes), and the texts of those that are asked for."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else "", data))

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag):
        return [text for name, text in self.texts if name == tag]
