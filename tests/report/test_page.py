"""The page as a file: whole or not there, self-contained, escaped, small for any N."""

import dataclasses
import json
import math
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

import amortis
from amortis import ArgumentError, Estimate, Status
from amortis.report.markup import element, json_data
from tests.report.page_fit import (
    COLUMN,
    KEY,
    PLATE,
    SITE,
    calibration,
    data,
    made_up_diagnosis,
    model,
    page_diagnosis,
    page_fit,
    renamed,
)

unchecked = amortis.report.__wrapped__  # as users have it, without checks of annotations

ALONE = {"meta", "link", "br"}


class Elements(HTMLParser):
    """All elements with their attributes, all text, and whether what opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text += data + " "

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    found = amortis.report(
        page_fit(),
        page_diagnosis(),
        path=path,
        verdict=amortis.check(model, data()),
        calibration=calibration(),
        reference=page_fit(),
    )
    assert found == path
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf8")


def test_it_is_one_well_formed_file_that_asks_for_nothing(page) -> None:
    read = Elements(page)
    assert read.open == []
    for _, attributes in read.elements:
        assert not attributes.get("src")
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
    links = [a["href"] for a in read.named("a")]
    identifiers = [a["id"] for _, a in read.elements if "id" in a]
    assert len(set(identifiers)) == len(identifiers)
    assert links and {f"#{i}" for i in identifiers} >= set(links)
    assert "@import" not in page and "url(http" not in page
    assert len(page.encode()) < 1_000_000


def test_names_are_text_wherever_they_stand(page) -> None:
    read = Elements(page)
    assert [a.get("type") for a in read.named("script")] == ["application/json", None]
    assert read.named("img") == []
    assert not any(name.startswith("on") for _, a in read.elements for name in a)
    assert SITE in read.text and PLATE in read.text
    assert COLUMN[:20] in read.text
    assert "x" * 100 not in page  # a name of ten thousand letters is cut
    assert "\u202e" not in page  # nothing may turn the text around
    rows = json.loads(re.search(r'id="rows">(.*?)</script>', page)[1])
    assert rows[1][0].startswith(COLUMN[:20])
    assert [len(texts) for _, texts in rows] == [60] * len(rows)


def test_the_answer_comes_first_with_the_next_step_as_a_call(page) -> None:
    found = page_diagnosis().finding.value
    assert page.index(found[1:]) < page.index("<main>")
    assert "<code>amortis.refine(fitted, key=key)</code>" in page
    assert page.index("amortis.refine") < page.index("<main>")


def test_every_number_has_a_unit(page) -> None:
    body = re.search(r'<table class="stacked".*?</table>', page, re.S)[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in body.split("<tr>")[2:]]
    assert len(rows) >= 12
    allowed = {"nats, total", "nats per row", "rows", "seconds", "no unit", "numbers"}
    assert {row[3] for row in rows} <= allowed
    by_name = {row[0]: row for row in rows}
    shown = float(by_name["amortization gap"][1].replace(",", ""))
    assert shown == pytest.approx(page_diagnosis().gap.mean, rel=1e-6)
    assert by_name["rows"][1] == "60"


def test_without_a_diagnosis_it_says_how_to_get_one(tmp_path) -> None:
    text = amortis.report(page_fit(), path=tmp_path / "a.html").read_text(encoding="utf8")
    assert "Not yet diagnosed" in text and "<code>amortis.diagnose(fit, key=key)</code>" in text
    assert 'id="gap"' not in text and 'id="function"' in text


def test_a_fit_that_did_not_settle_says_so_before_all(tmp_path) -> None:
    fitted = dataclasses.replace(page_fit(), status=Status.ITERATIONS_EXHAUSTED)
    text = amortis.report(fitted, page_diagnosis(), path=tmp_path / "a.html").read_text("utf8")
    assert 'class="answer poor"' in text and Status.ITERATIONS_EXHAUSTED.value in text
    assert "<code>amortis.fit(model, key=key, optimiser=...)</code>" in text


def test_rows_that_were_not_measured_leave_no_picture(tmp_path) -> None:
    """Units that touch each other have NaN for every row, and may have no evidence."""
    nothing = np.full(60, np.nan)
    found = dataclasses.replace(
        page_diagnosis(),
        row_gaps=nothing,
        row_gap_ses=nothing,
        row_k=nothing,
        worst=(),
        evidence=None,
        global_k=math.nan,
        gap=Estimate(math.nan, math.nan),
    )
    text = amortis.report(page_fit(), found, path=tmp_path / "a.html").read_text(encoding="utf8")
    assert "touch each other" in text and "not measured" in text
    assert 'id="gap-0"' not in text and 'id="k-hat-0"' not in text


def test_collapse_is_shown_where_the_diagnosis_has_it(tmp_path) -> None:
    found = dataclasses.replace(page_diagnosis())
    collapse = SimpleNamespace(
        kl=np.array([1.25, 1e-5]),
        active=np.array([True, False]),
        mutual_information=0.75,
        names=("z", SITE),
    )
    object.__setattr__(found, "collapse", collapse)
    text = amortis.report(page_fit(), found, path=tmp_path / "a.html").read_text(encoding="utf8")
    read = Elements(text)
    assert "0.75 nats" in read.text and "1.25" in read.text
    assert len(read.named("script")) == 2


def test_many_rows_stay_a_small_file_with_the_worst_among_them(tmp_path) -> None:
    size = 200_000
    fitted = renamed(amortis.infer(page_fit(), data(size)))
    path = amortis.report(fitted, made_up_diagnosis(size), path=tmp_path / "a.html")
    assert path.stat().st_size < 1_500_000
    text = path.read_text(encoding="utf8")
    rows = json.loads(re.search(r'id="rows">(.*?)</script>', text)[1])
    numbers = {int(row.replace(",", "")) for row in rows[0][1]}
    assert {5, size - 7, size // 2} <= numbers and len(numbers) <= 1200
    assert f"{len(numbers):,} of 200,000 rows are shown" in text


def test_places_where_nothing_can_be_written_are_refused_before_the_work(
    tmp_path, monkeypatch
) -> None:
    import sys

    page_module = sys.modules["amortis.report.page"]
    monkeypatch.setattr(page_module, "function_values", lambda *_: pytest.fail("it went to work"))
    for path, message in (
        (tmp_path / "missing" / "a.html", "there is no folder"),
        (tmp_path, "is a folder; expected a file name"),
        ("/proc/a.html", "cannot be written"),
        ("", "expected a file name"),
        (3, "path is 3; expected a file name"),
    ):
        with pytest.raises(ArgumentError, match=message) as caught:
            unchecked(page_fit(), page_diagnosis(), path=path)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_on_the_way_leaves_the_old_page(tmp_path, monkeypatch) -> None:
    import sys

    path = tmp_path / "a.html"
    path.write_text("old")

    def fail(*_):
        raise RuntimeError("on the way")

    monkeypatch.setattr(sys.modules["amortis.report.page"], "_document", fail)
    with pytest.raises(RuntimeError):
        amortis.report(page_fit(), page_diagnosis(), path=path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"] and path.read_text() == "old"


def test_records_of_other_data_are_refused(tmp_path) -> None:
    other = amortis.infer(page_fit(), data(10)) if COLUMN == "x" else None
    other = dataclasses.replace(page_diagnosis(), size=61) if other is None else other
    smaller = dataclasses.replace(page_fit(), model=dataclasses.replace(page_fit().model, size=59))
    for arguments, message in (
        ({"diagnosis": other}, "the diagnosis is of 61 rows and the fit of 60"),
        ({"diagnosis": "good"}, "diagnosis is 'good'; expected an object"),
        ({"verdict": True}, "verdict is True; expected an object"),
        ({"reference": smaller}, "the reference has 59 rows and the fit 60"),
        ({"calibration": 3}, "calibration is 3; expected the record"),
        ({"title": 3}, "title is 3; expected text"),
    ):
        with pytest.raises(ArgumentError, match=message) as caught:
            unchecked(page_fit(), **arguments, path=tmp_path / "a.html")
        assert "\n" not in str(caught.value)
    with pytest.raises(ArgumentError, match="fitted is 3; expected an object"):
        unchecked(3, path=tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


def test_markup_escapes_all_but_itself() -> None:
    made = element("p", "a < b & c", element("b", "d"), class_="x\"'>", data_i=1.5, title=None)
    assert made.text == ('<p class="x&quot;&#x27;&gt;" data-i="1.5">a &lt; b &amp; c<b>d</b></p>')
    assert json_data("a", ["</script>", "<!--", "&"]).text == (
        '<script type="application/json" id="a">'
        '["\\u003c/script\\u003e","\\u003c!--","\\u0026"]</script>'
    )


def test_the_key_of_the_fit_does_not_change_the_page(tmp_path) -> None:
    assert KEY is not None
    first, second = (
        amortis.report(page_fit(), page_diagnosis(), path=tmp_path / name).read_bytes()
        for name in ("a.html", "b.html")
    )
    assert first == second
