"""The page as a reader has it: in a real Chromium, wide and narrow, light and dark, on paper."""

import os
import re
import shutil

import pytest

import amortis
from tests.report.page_fit import (
    COLUMN,
    SITE,
    calibration,
    data,
    model,
    page_diagnosis,
    page_fit,
)

REQUIRED = "AMORTIS_BROWSER_REQUIRED"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    amortis.report(
        page_fit(),
        page_diagnosis(),
        path=path,
        verdict=amortis.check(model, data()),
        calibration=calibration(),
        reference=page_fit(),
    )
    return path.as_uri()


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        if os.environ.get(REQUIRED):
            pytest.fail("no Chromium was found, and this run requires one: see .ci/run")
        pytest.skip("no Chromium was found: install chromium to test pages as readers see them")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield running
        running.close()


@pytest.fixture
def opened(browser, address):
    """Opens the page; all that it asks for, and all that it complains of, must be its own file."""
    contexts = []

    def open_page(width=1280, height=800, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        page = context.new_page()
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        contexts.append((context, asked, complaints))
        return page

    yield open_page
    for context, asked, complaints in contexts:
        context.close()
        assert complaints == []
        assert {url.split("#")[0] for url in asked} <= {address, "data:,"}


def test_it_opens_with_its_headings_and_without_a_complaint(opened) -> None:
    page = opened()
    assert page.title() == page.locator("h1").inner_text()
    assert page.locator("h1").count() == 1
    assert page.locator("h2").all_inner_texts() == [
        "Numbers",
        "The fit",
        "The function against each row's own optimum",
        "The gap of each row",
        "How well each row's factor fits",
        "What the latents carry",
        "Globals",
        "When one function can be ideal",
        "Calibration",
        "Settings and versions",
        "How it was made",
    ]
    page.locator("nav a", has_text="k-hat").click()
    assert page.locator("#k-hat").bounding_box()["y"] == pytest.approx(0, abs=5)


def test_names_stay_text(opened) -> None:
    page = opened()
    assert page.evaluate("window.broken") is None
    assert page.locator("#globals tbody th").inner_text() == SITE
    assert page.locator("img").count() == 0


def test_pointing_at_a_mark_names_its_row(opened) -> None:
    page = opened()
    tip = page.locator("#tip")
    assert tip.is_hidden()
    worst = page_diagnosis().worst[0].index  # far from the other marks
    page.locator(f"#gap-0 circle[data-i='{worst}']").hover()
    words = tip.inner_text()
    assert tip.is_visible() and re.match(rf"row\s+{worst}\b", words)
    assert COLUMN[:20] in words and "nats" in words and "k-hat" in words
    inside = page.evaluate(
        "(() => { const r = document.getElementById('tip').getBoundingClientRect();"
        "return r.left >= 0 && r.top >= 0 && r.right <= innerWidth && r.bottom <= innerHeight })()"
    )
    assert inside
    assert page.evaluate("window.broken") is None
    page.mouse.move(2, 2)
    assert tip.is_hidden()
    page.locator("#elbo-0 circle[data-t]").last.hover()
    assert "nats" in tip.inner_text() and "after" in tip.inner_text()


def test_a_finger_that_is_lifted_leaves_the_words(opened) -> None:
    page = opened(360, is_mobile=True, has_touch=True)
    worst = page_diagnosis().worst[0].index
    page.locator(f"#gap-0 circle[data-i='{worst}']").tap()
    page.wait_for_timeout(100)
    assert re.match(rf"row\s+{worst}\b", page.locator("#tip").inner_text())
    page.locator("#gap-title").tap()
    assert page.locator("#tip").is_hidden()


def test_marks_are_reached_by_keys(opened) -> None:
    page = opened()
    chart = page.locator("#gap-0")
    chart.focus()
    page.keyboard.press("ArrowRight")
    first = page.locator("#tip").inner_text()
    page.keyboard.press("ArrowRight")
    second = page.locator("#tip").inner_text()
    assert first.startswith("row") and second.startswith("row") and first != second
    page.keyboard.press("End")
    last = page.locator("#tip").inner_text()
    largest = data().argmax()
    assert re.match(rf"row\s+{largest}\b", last)
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id"))
    assert {"k-hat-0", "calibration-0", "calibration-1"} <= seen


def test_drawings_have_names(opened) -> None:
    page = opened()
    for svg in page.locator("svg").all():
        assert svg.get_attribute("role") == "img"
        title = svg.locator("title")
        name = svg.get_attribute("aria-label") or title.text_content()
        assert name and len(name) > 20
    for region in page.locator("[role=region]").all():
        assert region.get_attribute("aria-label") and region.get_attribute("tabindex") == "0"


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(opened, width) -> None:
    page = opened(width, is_mobile=width == 360, has_touch=width == 360)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        """[...document.querySelectorAll('svg.chart text')].map((text) =>
        parseFloat(getComputedStyle(text).fontSize) * text.ownerSVGElement.getScreenCTM().a)"""
    )
    assert min(small) > 9.5  # pixels, as drawn


def test_letters_in_drawings_stay_inside_and_apart(opened) -> None:
    for width in (360, 1280):
        page = opened(width)
        clashes = page.evaluate(
            """[...document.querySelectorAll('svg.chart')].flatMap((svg) => {
              const frame = svg.getBoundingClientRect();
              const texts = [...svg.querySelectorAll('text.tick,text.label')];
              const boxes = texts.map((text) => text.getBoundingClientRect());
              const found = [];
              boxes.forEach((a, i) => {
                if (a.left < frame.left - 3 || a.right > frame.right + 3)
                  found.push([svg.id, 'outside', texts[i].textContent]);
                boxes.slice(i + 1).forEach((b, j) => {
                  if (a.left < b.right - 1 && b.left < a.right - 1 &&
                      a.top < b.bottom - 4 && b.top < a.bottom - 4)
                    found.push([svg.id, texts[i].textContent, texts[i + 1 + j].textContent]);
                });
              });
              return found;
            })"""
        )
        assert clashes == []


def test_on_paper_there_are_no_tips_and_all_is_light(opened) -> None:
    page = opened(740, color_scheme="dark")
    chart = page.locator("#gap-0")
    chart.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("#tip").is_hidden() and page.locator("nav").is_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 740
    assert page.pdf(format="A4")[:5] == b"%PDF-"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(opened, scheme) -> None:
    """Contrast by WCAG 2: (L1 + 0.05) / (L2 + 0.05) of relative luminances, at least 4.5."""
    page = opened(color_scheme=scheme)
    pairs = page.evaluate(
        """(() => {
          const behind = (node) => {
            for (let e = node; e; e = e.parentElement) {
              const color = getComputedStyle(e).backgroundColor;
              if (!/, 0\\)$|transparent/.test(color)) return color;
            }
            return getComputedStyle(document.body).backgroundColor;
          };
          return [...document.querySelectorAll(
            'h1,h2,h3,p,a,th,td,dt,dd,small,code,li,footer,svg.chart text')].map((e) => {
              const style = getComputedStyle(e);
              const ink = e instanceof SVGElement ? style.fill : style.color;
              return [e.tagName + '.' + e.getAttribute('class'), ink, behind(e)];
          });
        })()"""
    )
    assert len(pairs) > 200
    background = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (background < 0.1) == (scheme == "dark")
    poor = {(name, ink, behind) for name, ink, behind in pairs if contrast(ink, behind) < 4.5}
    assert poor == set()


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(v) / 255) for v in re.findall(r"\d+", color)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
