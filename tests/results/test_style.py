"""Pictures: long names are shortened where they stand, legends find room, the same things are the same bytes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli.results import confused, projected, spread, style

LONG = [f"a class with a name that is too long for any axis, number {number}" for number in range(9)]


@given(st.text(), st.integers(4, 40))
def test_a_name_is_never_longer_than_asked_and_keeps_both_ends(name, most):
    found = style.short(name, most)
    assert len(found) <= most
    assert found == name or (found[0] == name[0] and found[-1] == name[-1])


def drawn(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.decode())


def test_axes_and_legends_show_long_names_short_and_apart():
    import numpy as np

    rows = [{"corpus": f"{n}", "split": "test", "n": 9, "counts": dict.fromkeys(LONG, 1)} for n in range(3)]
    numbers = np.arange(90)
    panels = [projected.project("audio", numbers, np.eye(90)[:, :3], [LONG[n % 9] for n in numbers], "pca")] * 2
    for made in (
        confused.picture(np.eye(9, dtype=np.int64), LONG, "run"),
        spread.picture(rows, "run"),
        projected.picture(panels, [LONG[n % 9] for n in numbers], "run"),
    ):
        texts = drawn(made["svg"])
        assert not set(texts) & set(LONG)
        assert len({text for text in texts if "…" in text}) >= 9


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_projection_has_no_empty_panel(count):
    import numpy as np

    numbers = np.arange(20)
    groups = ["up" if n % 2 else "down" for n in numbers]
    panels = [projected.project(f"panel {n}", numbers, np.eye(20)[:, :3], groups, "pca") for n in range(count)]
    texts = drawn(projected.picture(panels, groups, "run")["svg"])
    assert sum(text.startswith("panel") for text in texts) == count
    assert {"up", "down"} <= set(texts)


def test_the_last_digits_of_where_axes_stand_change_no_byte():
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    made = []
    for nudge in (0.0, 3e-16, -2e-15):
        figure = Figure((4.0, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.plot([0.1, 0.7], [0.2, 0.3])
        engine = figure.get_layout_engine()
        solve = engine.execute

        def execute(figure, axes=axes, solve=solve, nudge=nudge):
            solve(figure)
            axes._set_position([edge + nudge for edge in axes.get_position(original=True).bounds])

        engine.execute = execute
        with rc_context(style.STYLE):
            made.append(tuple(style.render(figure).values()))
    assert len(set(made)) == 1
