"""The drawing of a verdict: what it shows, that nothing is clipped, and that the SVG holds it."""

import dataclasses
import itertools
import math
import re
import xml.etree.ElementTree as ElementTree

import matplotlib.image
import numpy as np
import pytest
from matplotlib.patches import Circle, PathPatch, Rectangle

from amortis.report import plot_verdict, verdict_figure, verdict_graph
from amortis.report.verdict_layout import lay_out
from amortis.report.verdict_shapes import Relation, Role, VerdictLayout
from amortis.report.verdict_words import shortened, text_width, wrapped
from amortis.structure import Coupling, Evidence, Input, Kind, Verdict

LONG = "a_very_long_name_of_a_site_that_somebody_wrote"
SVG = "{http://www.w3.org/2000/svg}"


def verdict(kind: Kind, **changes) -> Verdict:
    plain = Verdict(kind, "rows", 24, ("z",), (Input("x"),), ("why",), Evidence.PROVED, True)
    return dataclasses.replace(plain, **changes)


def tie(*offsets: int, reach: int | None = 1, example: tuple[int, int] = (0, 1)) -> Coupling:
    return Coupling("z", "z", offsets, reach, example)


def coupled(*ties: Coupling, **changes) -> Verdict:
    return verdict(Kind.COUPLED, couplings=ties, **changes)


VERDICTS = {
    "pointwise": verdict(Kind.POINTWISE),
    "several arrays": verdict(Kind.POINTWISE, inputs=(Input("x"), Input("y"), Input("m"))),
    "no data": verdict(Kind.POINTWISE, inputs=()),
    "columns": verdict(Kind.POINTWISE, inputs=(Input("x", axis=1),)),
    "windowed": verdict(Kind.WINDOWED, inputs=(Input("x", (-1, 0)),), edges=(0,)),
    "a week ago": verdict(Kind.WINDOWED, inputs=(Input("x", (-7, 0)),)),
    "wide window": verdict(Kind.WINDOWED, inputs=(Input("x", tuple(range(-9, 10))),)),
    "two windows": verdict(Kind.WINDOWED, inputs=(Input("x", (-1, 0)), Input("c", (0, 1)))),
    "three ways": verdict(
        Kind.WINDOWED, inputs=(Input("x", (-1, 0)), Input("c", (0, 1)), Input("d", (2,)))
    ),
    "far beside wide": verdict(
        Kind.WINDOWED, inputs=(Input("x", tuple(range(-9, 10))), Input("c", (5,)))
    ),
    "strides": verdict(Kind.WINDOWED, inputs=(Input("x", (0, 1, 2), stride=2),)),
    "a long stride": verdict(Kind.GROUPED, inputs=(Input("x", tuple(range(12)), stride=12),)),
    "groups": verdict(Kind.GROUPED, inputs=(Input("x", index="group"),)),
    "groups and a covariate": verdict(Kind.GROUPED, inputs=(Input("x", index="group"), Input("w"))),
    "strides and a window": verdict(
        Kind.WINDOWED, inputs=(Input("x", (-1, 0, 1, 2), stride=2), Input("c", (-1, 0, 1)))
    ),
    "walk": coupled(tie(-1, 1)),
    "two lags": coupled(tie(-2, -1, 1, 2, reach=2)),
    "season": coupled(tie(-7, 7, reach=7)),
    "everywhere": coupled(tie(reach=None)),
    "everywhere, three": coupled(tie(reach=None), size=3),
    "one pair": coupled(tie(reach=14, example=(3, 17))),
    "the last pair": coupled(tie(reach=1, example=(23, 22))),
    "two units": coupled(tie(-1, 1), size=2),
    "no pattern of data": coupled(tie(reach=None), inputs=()),
    "hidden": verdict(Kind.HIDDEN, inputs=()),
    "no locals": verdict(Kind.NO_LOCALS, local=None, size=0, sites=(), inputs=()),
    "unknown": verdict(Kind.UNKNOWN, inputs=()),
    "one unit": verdict(Kind.UNKNOWN, size=1, inputs=()),
    "long names": verdict(
        Kind.GROUPED, sites=(LONG,), local=LONG, inputs=(Input(LONG, index=LONG),)
    ),
    "markup": verdict(
        Kind.POINTWISE, sites=('a<b&"c"',), local="$x^2$ </svg>\x00\n", inputs=(Input("x&y"),)
    ),
    "many units": coupled(tie(reach=9, example=(1234567, 1234576)), size=10**7),
}

EACH = pytest.mark.parametrize("found", VERDICTS.values(), ids=VERDICTS)


def edges(drawing: VerdictLayout, relation: Relation) -> set[tuple[str, str]]:
    return {(e.start, e.end) for e in drawing.edges if e.relation is relation}


def labels(drawing: VerdictLayout, role: Role) -> list[str]:
    return [node.label.text for node in drawing.nodes if node.role is role]


def words(drawing: VerdictLayout) -> list[str]:
    return [text.text for text in drawing.texts]


@EACH
def test_every_node_edge_and_word_is_in_the_svg(found) -> None:
    drawing, root = lay_out(found), ElementTree.fromstring(verdict_graph(found))
    circles = [n for n in drawing.nodes if not n.is_box]
    inside = [
        tuple(float(e.attrib[k]) for k in ("cx", "cy", "r")) for e in root.iter(f"{SVG}circle")
    ]
    expected = [(*node.center, node.half[0]) for node in circles]
    np.testing.assert_allclose(inside, expected, atol=0.01)
    assert len(list(root.iter(f"{SVG}rect"))) == 1 + len(drawing.nodes) - len(circles)
    paths = [e.attrib["d"] for e in root.iter(f"{SVG}path")]
    numbers = [[float(n) for n in re.findall(r"-?[0-9.]+", path)] for path in paths]
    for written, edge in zip(numbers, drawing.edges, strict=True):
        np.testing.assert_allclose(written, np.ravel(edge.path), atol=0.01)
    assert len(list(root.iter(f"{SVG}polygon"))) == sum(bool(e.head) for e in drawing.edges)
    texts = [*(node.label.text for node in drawing.nodes), *words(drawing)]
    assert [e.text for e in root.iter(f"{SVG}text")] == [text for text in texts if text]
    title = root.find(f"{SVG}title")
    assert title is not None and title.text == drawing.caption


@EACH
def test_the_plot_has_the_same_shapes_in_the_same_places(found) -> None:
    drawing, figure = lay_out(found), verdict_figure(found)
    (axes,) = figure.axes
    np.testing.assert_allclose(figure.get_size_inches() * 100, (drawing.width, drawing.height))
    centers = [patch.center for patch in axes.patches if isinstance(patch, Circle)]
    assert centers == [node.center for node in drawing.nodes if not node.is_box]
    boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(boxes) == len(drawing.nodes) - len(centers)
    paths = [patch.get_path().vertices for patch in axes.patches if isinstance(patch, PathPatch)]
    for path, edge in zip(paths, drawing.edges, strict=True):
        np.testing.assert_allclose(path, edge.path)


@EACH
def test_nothing_is_clipped_and_no_words_overlap(found) -> None:
    figure = verdict_figure(found)
    figure.canvas.draw()
    (axes,) = figure.axes
    extents = [text.get_window_extent() for text in axes.texts if text.get_text()]
    width, height = figure.canvas.get_width_height()
    for extent in extents:
        assert extent.x0 >= 0 and extent.y0 >= 0 and extent.x1 <= width and extent.y1 <= height
    for one, other in itertools.combinations(extents, 2):
        assert not one.overlaps(other)


@EACH
def test_labels_fit_their_circles_and_nodes_stand_apart(found) -> None:
    drawing = lay_out(found)
    for node in drawing.nodes:
        assert text_width(node.label.text, node.label.size) <= 2 * node.half[0] - 5
        assert node.half[0] < node.center[0] < drawing.width - node.half[0]
    for one, other in itertools.combinations(drawing.nodes, 2):
        if not (one.is_box or other.is_box):
            assert math.dist(one.center, other.center) > one.half[0] + other.half[0] + 2
    assert len({node.key for node in drawing.nodes}) == len(drawing.nodes)
    keys = {node.key for node in drawing.nodes} | {""}
    assert {edge.start for edge in drawing.edges} | {edge.end for edge in drawing.edges} <= keys


@pytest.mark.parametrize(
    "name", ["groups and a covariate", "strides and a window", "two windows", "three ways"]
)
def test_what_unit_n_reads_in_the_lower_row_is_not_hidden_by_the_upper(name) -> None:
    drawing = lay_out(VERDICTS[name])
    for edge in (e for e in drawing.edges if e.relation is Relation.READS):
        (x0, y0), (x1, y1) = edge.path
        for node in drawing.nodes:
            if node.key not in (edge.start, edge.end):
                (x, y), length = node.center, math.dist(*edge.path)
                along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length**2
                away = abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / length
                assert not 0 < along < 1 or away > node.half[0] + 1


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("walk", [("z-1", "z+0"), ("z+0", "z+1")]),
        ("two units", [("z+0", "z+1")]),
        ("season", [("z-7", "z+0"), ("z+0", "z+7")]),
        ("one pair", [("z+0", "z+14")]),
        ("the last pair", [("z+0", "z+1")]),
        ("many units", [("z+0", "z+9")]),
        ("everywhere, three", [("z-1", "z+0"), ("z-1", "z+1"), ("z+0", "z+1")]),
        ("pointwise", []),
        ("hidden", []),
    ],
)
def test_couplings_join_the_units_that_touch(name, pairs) -> None:
    assert edges(lay_out(VERDICTS[name]), Relation.TOUCHES) == set(pairs)


def test_couplings_are_red_and_have_no_direction() -> None:
    drawing = lay_out(VERDICTS["two lags"])
    bonds = [edge for edge in drawing.edges if edge.relation is Relation.TOUCHES]
    assert len(bonds) == 4 + 3 and not any(edge.head for edge in bonds)
    assert {edge.focal for edge in bonds if "z+0" in (edge.start, edge.end)} == {True}
    # Those of two steps pass over the node between; those of one are straight.
    assert sorted(len(edge.path) for edge in bonds) == [2] * 4 + [3] * 3
    assert verdict_graph(VERDICTS["two lags"]).count('stroke="#c8102e"') == len(bonds)


def test_a_coupling_without_reach_runs_off_the_drawing() -> None:
    drawing = lay_out(VERDICTS["everywhere"])
    assert ("z+0", "") in edges(drawing, Relation.TOUCHES)
    assert words(drawing).count("…") == 4  # units go on to both sides, and so do the lines


def test_one_pair_is_drawn_with_the_numbers_of_its_units() -> None:
    drawing = lay_out(VERDICTS["one pair"])
    assert labels(drawing, Role.LOCAL) == ["z[2]", "z[3]", "z[4]", "z[17]"]
    assert labels(drawing, Role.DATA) == ["x[2]", "x[3]", "x[4]", "x[17]"]
    assert drawing.caption.startswith("No: z[3] touches z[17], ")


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("pointwise", ["x[n]"]),
        ("windowed", ["x[n−1]", "x[n]"]),
        ("a week ago", ["x[n−7]", "x[n]"]),
        ("columns", ["n"]),
        ("several arrays", ["n"]),
        ("two windows", ["x[n−1]", "x[n]", "c[n]", "c[n+1]"]),
    ],
)
def test_bold_arrows_lead_from_unit_n_to_what_it_reads(name, reads) -> None:
    drawing = lay_out(VERDICTS[name])
    named = {node.key: node.label.text for node in drawing.nodes}
    bold = edges(drawing, Relation.READS)
    assert {start for start, _ in bold} == {"z+0"}
    assert sorted(named[end] for _, end in bold) == sorted(reads)


def test_groups_have_different_numbers_of_rows_and_say_whose_they_are() -> None:
    drawing = lay_out(VERDICTS["groups"])
    counts = {
        key: sum(edge.start == key for edge in drawing.edges if edge.start.startswith("z"))
        for key in ("z-1", "z+0", "z+1")
    }
    assert counts == {"z-1": 2, "z+0": 3, "z+1": 1}
    assert {"group = n−1", "group = n", "group = n+1"} <= set(words(drawing))


def test_entries_of_overlapping_strides_are_shared() -> None:
    drawing = lay_out(VERDICTS["strides"])
    written = [text for text in words(drawing) if text.startswith("x[")]
    assert written == [f"x[2n{e}]" for e in ("−2", "−1", "", "+1", "+2", "+3", "+4")]
    shared = [n for n in drawing.nodes if sum(e.end == n.key for e in drawing.edges) == 2]
    assert len(shared) == 2


def test_what_is_hidden_feeds_every_row_from_a_dashed_box() -> None:
    drawing = lay_out(VERDICTS["hidden"])
    assert labels(drawing, Role.NOT_DATA) == ["?"] * 3
    assert edges(drawing, Relation.FEEDS) == {(f"cx0#{i}", f"x0#{i}") for i in range(3)}
    assert verdict_graph(VERDICTS["hidden"]).count("stroke-dasharray") == 6


def test_what_is_not_known_is_a_question_mark() -> None:
    for name in ("unknown", "no pattern of data"):
        drawing = lay_out(VERDICTS[name])
        assert words(drawing).count("?") == 3
        assert {end for _, end in edges(drawing, Relation.UNDECIDED)} == {"data"}


def test_arrays_without_room_are_named() -> None:
    assert "not drawn: d" in words(lay_out(VERDICTS["three ways"]))
    assert "not drawn: c" in words(lay_out(VERDICTS["far beside wide"]))


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("pointwise", "Yes: one function of x[n] is ideal for z[n], for all 24 units of 'rows'."),
        ("no data", "Yes: z[n] reads no data, so that one factor serves all 24 units of 'rows'."),
        (
            "wide window",
            "Yes: one function of x[n−9], x[n−8], …, x[n+9] is ideal for z[n], for all",
        ),
        ("windowed", "Yes: one function of x[n−1], x[n] is ideal for z[n], for all 24 units of"),
        ("walk", "No: z[n] touches z at n−1, n+1, so that no function of a part of the data is"),
        ("hidden", "No: no one function serves all 24 units of 'rows', as they differ in what is"),
        ("no locals", "No: there are no local latents, so there is nothing to amortize."),
        ("unknown", "Not decided: why."),
    ],
)
def test_the_caption_is_the_answer_in_words(name, caption) -> None:
    drawing = lay_out(VERDICTS[name])
    assert drawing.caption.startswith(caption)
    assert drawing.caption in " ".join(words(drawing))


def test_names_are_escaped_and_what_xml_forbids_is_replaced() -> None:
    text = verdict_graph(VERDICTS["markup"])
    root = ElementTree.fromstring(text)
    written = [e.text or "" for e in root.iter(f"{SVG}text")]
    assert 'a<b&"c"' in written
    assert any("'$x^2$ </svg>\N{REPLACEMENT CHARACTER}" in line for line in written)
    assert text.count("</svg>") == 1


def test_a_plot_is_written_as_png(tmp_path) -> None:
    plot_verdict(VERDICTS["walk"], tmp_path / "graph.png")
    drawing = lay_out(VERDICTS["walk"])
    image = matplotlib.image.imread(tmp_path / "graph.png")
    expected = (1.5 * drawing.height, 1.5 * drawing.width)
    np.testing.assert_allclose(image.shape[:2], expected, atol=1.0)
    red = np.abs(image[..., :3] - np.array([0xC8, 0x10, 0x2E]) / 255).max(axis=-1) < 0.02
    y = 1.5 * next(node.center[1] for node in drawing.nodes if node.role is Role.LOCAL)
    rows = np.nonzero(red)[0]
    assert len(rows) > 100 and np.abs(rows - y).max() < 4


def test_words_are_cut_and_broken_to_fit() -> None:
    assert shortened("short", 10.0, 100.0) == "short"
    cut = shortened(LONG, 10.0, 100.0)
    assert cut.endswith("…") and LONG.startswith(cut[:-1]) and text_width(cut, 10.0) <= 100.0
    lines = wrapped(f"one two {'w' * 50} three", 10.0, 120.0)
    assert "".join(lines).replace(" ", "") == f"onetwo{'w' * 50}three"
    assert all(text_width(line, 10.0) <= 120.0 for line in lines)
