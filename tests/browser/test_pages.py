"""The pages in a browser: as a reader sees, sorts, seeks, prints and hears them."""

from __future__ import annotations

import pytest

from tests.browser.conftest import SECONDS, opened

pytestmark = pytest.mark.slow
BOTH = ("report", "clip")
SORTED = "table => [...table.tBodies[0].rows].map(row => row.cells[1].textContent)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*BOTH, "index"])
def test_axe_finds_no_serious_fault(chromium, pages, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with opened(chromium, pages[name], color_scheme=scheme) as tab:
        tab.evaluate("() => document.querySelectorAll('details').forEach(each => each.open = true)")
        found = axe.Axe().run(tab).response["violations"]
        assert [(f["id"], f["nodes"][0]["html"]) for f in found if f["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("name", BOTH)
def test_a_phone_scrolls_tables_and_not_the_page(chromium, pages, name):
    with opened(chromium, pages[name], viewport={"width": 360, "height": 740}) as tab:
        assert tab.evaluate("() => document.documentElement.scrollWidth") == 360
        boxes = tab.evaluate("() => [...document.querySelectorAll('.scroll')].map(b => [b.scrollWidth, b.clientWidth])")
        assert any(inner > outer for inner, outer in boxes)


@pytest.mark.parametrize("name", BOTH)
def test_everything_is_there_without_the_script(chromium, pages, name):
    visible = "() => [...document.querySelectorAll('main :is(td, th, dt, dd, h2, h3, figcaption, li, pre)')].length"
    with opened(chromium, pages[name]) as tab:
        count = tab.evaluate(visible)
    with opened(chromium, pages[name], java_script_enabled=False) as tab:
        assert tab.locator("main :is(td, th, dt, dd, h2, h3, figcaption, li, pre)").count() == count
        assert tab.locator("button, [role=slider]").count() == 0
        assert tab.locator("main svg, main img").count() >= 1
        for summary in tab.locator("summary").all():
            summary.click()
        assert all(cell.is_visible() for cell in tab.locator("td").all())


@pytest.mark.parametrize("name", BOTH)
def test_the_scheme_follows_the_system_until_it_is_chosen(chromium, pages, name):
    ground = "() => getComputedStyle(document.body).backgroundColor"
    with opened(chromium, pages[name], color_scheme="dark") as tab:
        dark = tab.evaluate(ground)
        tab.emulate_media(color_scheme="light")
        light = tab.evaluate(ground)
        assert light != dark
        tab.get_by_role("button", name="Dark colours").click()
        assert tab.evaluate(ground) == dark
        tab.emulate_media(color_scheme="dark")
        tab.get_by_role("button", name="Light colours").click()
        assert tab.evaluate(ground) == light


@pytest.mark.parametrize("name", BOTH)
def test_it_prints_dark_letters_on_white(chromium, pages, name):
    with opened(chromium, pages[name], color_scheme="light") as tab:
        tab.get_by_role("button", name="Dark colours").click()
        assert tab.pdf().startswith(b"%PDF")
        tab.emulate_media(media="print")
        assert tab.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.locator(".scheme").is_hidden()


def test_the_first_tab_leads_past_the_contents(chromium, pages):
    with opened(chromium, pages["report"]) as tab:
        tab.keyboard.press("Tab")
        skip = tab.locator(".skip")
        assert skip.bounding_box()["x"] >= 0
        tab.keyboard.press("Enter")
        assert tab.evaluate("() => document.activeElement.id") == "main"


def test_a_table_is_sorted_by_click_and_by_key(chromium, pages):
    with opened(chromium, pages["report"]) as tab:
        table = tab.locator("table").first
        head = table.get_by_role("columnheader", name="n", exact=True)
        button = head.get_by_role("button")
        button.click()
        assert head.get_attribute("aria-sort") == "ascending"
        assert table.evaluate(SORTED) == ["2", "7", "9", "10", "100"]
        button.focus()
        tab.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == "descending"
        assert table.evaluate(SORTED) == ["100", "10", "9", "7", "2"]
        uar = table.get_by_role("columnheader", name="UAR")
        uar.get_by_role("button").focus()
        tab.keyboard.press("Space")
        assert (uar.get_attribute("aria-sort"), head.get_attribute("aria-sort")) == ("ascending", None)
        figures = table.evaluate("table => [...table.tBodies[0].rows].map(row => row.cells[2].textContent)")
        assert figures == ["−2.500", "−1.500", "−0.500", "0.500", "–"]
        uar.get_by_role("button").click()
        assert table.evaluate("table => table.tBodies[0].rows[4].cells[2].textContent") == "–"


def test_the_index_is_sorted_by_figures_and_leads_to_a_clip_without_the_script(chromium, pages):
    clips = "table => [...table.tBodies[0].rows].map(row => row.cells[0].textContent)"
    with opened(chromium, pages["index"]) as tab:
        tab.get_by_role("columnheader", name="probability").get_by_role("button").click()
        assert tab.locator("table").evaluate(clips) == ["a & b.mp4", "c.mp4"]
        tab.get_by_role("columnheader", name="seconds").get_by_role("button").click()
        assert tab.locator("table").evaluate(clips) == ["c.mp4", "a & b.mp4"]
    with opened(chromium, pages["index"], java_script_enabled=False, viewport={"width": 360, "height": 740}) as tab:
        assert tab.locator("button").count() == 0
        tab.get_by_role("link", name="a & b.mp4").click()
        assert tab.get_by_role("heading", level=1).text_content() == "a & b.mp4"


def state(tab):
    """Return the medium's second, where the playhead stands in per cent, and what the slider says."""
    return tab.evaluate("""() => {
      const slider = document.querySelector("[role=slider]");
      return [document.querySelector("video").currentTime, parseFloat(document.querySelector(".head").style.left),
              Number(slider.getAttribute("aria-valuenow")), slider.getAttribute("aria-valuetext")];
    }""")


@pytest.fixture
def clip(chromium, pages):
    with opened(chromium, pages["clip"]) as tab:
        tab.wait_for_function("() => document.querySelector('video').readyState >= 1")
        yield tab


def test_a_click_on_the_timeline_seeks_the_medium(clip):
    slider = clip.get_by_role("slider", name="Time in the clip")
    box = slider.bounding_box()
    slider.click(position={"x": box["width"] / 4, "y": 50})
    now, left, value, told = state(clip)
    assert now == pytest.approx(SECONDS / 4, abs=0.05) == value
    assert left == pytest.approx(25, abs=1)
    assert told.startswith("1.1 seconds: happy")
    assert clip.locator("tr.now").count() == 2
    assert clip.locator(".words .now").text_content() == "<script>alert('in')</script>"


def test_arrow_keys_seek_and_stop_at_the_ends(clip):
    slider = clip.get_by_role("slider")
    slider.focus()
    clip.keyboard.press("ArrowRight")
    assert state(clip)[0] == pytest.approx(SECONDS / 10, abs=0.01)
    clip.keyboard.press("End")
    assert state(clip)[1] == 100
    clip.keyboard.press("ArrowRight")
    assert state(clip)[1] == 100
    clip.keyboard.press("Home")
    clip.keyboard.press("ArrowLeft")
    assert state(clip)[:3] == [0, 0, 0]


def test_a_word_and_a_row_seek(clip):
    clip.locator(".words span", has_text="day").click()
    assert state(clip)[0] == pytest.approx(3.0, abs=0.01)
    clip.locator("tbody tr").nth(1).click()
    assert state(clip)[0] == pytest.approx(1.0, abs=0.01)


def test_the_playhead_follows_the_medium_along_the_curve(clip):
    clip.evaluate("() => { const v = document.querySelector('video'); v.muted = true; return v.play(); }")
    clip.wait_for_function("() => parseFloat(document.querySelector('.head').style.left) > 5")
    clip.evaluate("() => document.querySelector('video').pause()")
    clip.evaluate("() => { document.querySelector('video').currentTime = 1.5; }")
    clip.wait_for_function("() => document.querySelector('[role=slider]').getAttribute('aria-valuenow') === '1.50'")
    # halfway between the middles (1 s: 0.9, 2 s: 0.2), the dot of "happy" is halfway between their heights
    dots = clip.evaluate("() => [...document.querySelectorAll('.dot')].map(dot => parseFloat(dot.style.top))")
    assert dots[1] == pytest.approx(100 * (1 - 0.55), abs=0.01)
    assert dots[0] == pytest.approx(100 * (1 - (0.1 + 0.8) / 12), abs=0.01)


def test_where_there_is_no_answer_the_page_says_so(clip):
    clip.evaluate("() => { document.querySelector('video').currentTime = 2.6; }")
    clip.wait_for_function("() => document.querySelector('.answer strong').textContent === 'no answer'")
    assert "nothing to predict" in clip.locator(".answer .told").text_content()
    assert clip.locator(".dot:visible").count() == 0


def test_a_medium_that_is_gone_leaves_the_timeline(chromium, pages, tmp_path):
    alone = tmp_path / "clip.html"
    alone.write_text(pages["clip"].read_text())
    with opened(chromium, alone, complaint="ERR_FILE_NOT_FOUND") as tab:
        tab.get_by_text("This browser cannot play").wait_for()
        tab.get_by_role("slider").focus()
        tab.keyboard.press("End")
        assert tab.get_by_role("slider").get_attribute("aria-valuenow") == f"{SECONDS:.2f}"


def test_a_script_that_is_not_the_page_s_own_does_not_run(chromium, pages):
    with opened(chromium, pages["report"], complaint="Content Security Policy") as tab:
        with tab.expect_console_message():
            tab.evaluate("""() => {
              const script = document.createElement("script");
              script.textContent = "window.ran = true";
              document.body.append(script);
            }""")
        assert tab.evaluate("() => window.ran") is None
