from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.figures import Drawing, costs, forest, plotly_js, write_pngs
from analysis.report.ablation.sections import sections
from analysis.report.blocks import drawings
from tests.analysis.report_cases import ATTACKS, CASES


def all_drawings(case: str) -> tuple[Drawing, ...]:
    return drawings(sections(CASES[case]()))


def data(drawing: Drawing) -> dict:
    return json.loads(drawing.figure.to_json())


def named(case: str, start: str) -> Drawing:
    return next(drawing for drawing in all_drawings(case) if drawing.name.startswith(start))


@pytest.mark.parametrize("case", CASES)
def test_every_figure_has_a_name_a_title_axes_and_a_reading(case: str) -> None:
    found = all_drawings(case)
    names = [drawing.name for drawing in found]
    assert len(set(names)) == len(names)
    assert found
    for drawing in found:
        assert re.fullmatch(r"[a-z][a-z0-9-]*", drawing.name)
        assert drawing.title
        assert drawing.reading.endswith(".")
        layout = data(drawing)["layout"]
        titles = [layout[name]["title"]["text"] for name in layout if re.fullmatch(r"[xy]axis\d?", name)]
        assert any(titles), drawing.name
        assert layout["xaxis"]["automargin"]


@pytest.mark.parametrize("case", CASES)
def test_the_same_numbers_give_the_same_bytes(case: str) -> None:
    assert [one.json for one in all_drawings(case)] == [one.json for one in all_drawings(case)]


@pytest.mark.parametrize("case", ["retuned", "factorial", "hostile"])
def test_lines_and_marks_differ_by_more_than_colour(case: str) -> None:
    for drawing in all_drawings(case):
        shown = [trace for trace in data(drawing)["data"] if trace.get("name") and trace.get("showlegend") is not False]
        looks = [
            (
                trace.get("line", {}).get("dash"),
                str(trace.get("marker", {}).get("symbol")),
                trace.get("marker", {}).get("pattern", {}).get("shape"),
            )
            for trace in shown
        ]
        assert len(set(looks)) == len(looks), drawing.name


def test_no_text_of_an_ablation_is_markup() -> None:
    for drawing in all_drawings("hostile"):
        for text in (drawing.json, drawing.titled.to_json()):
            plain = json.loads(text)
            for found in strings(plain):
                assert "$" not in found
                tags = set(re.findall(r"<[^>]*>?", found))
                assert tags <= {"<br>"}, (drawing.name, found)
        assert "<" not in drawing.json
        assert "hovertemplate" not in drawing.json
        assert "texttemplate" not in drawing.json
    assert "&lt;script&gt;" in named("hostile", "forest").titled.to_json()


def strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in strings(one)]


def test_the_forest_shows_the_claims() -> None:
    findings = CASES["retuned"]()
    drawing = forest(findings.claims, findings.spec.metrics)
    found = data(drawing)
    means = [trace for trace in found["data"] if "error_x" in trace]
    for trace, claim in zip(means, reversed(findings.claims), strict=True):
        assert trace["x"] == pytest.approx([claim.comparison.delta], rel=1e-4)
        assert trace["x"][0] + trace["error_x"]["array"][0] == pytest.approx(claim.interval.high, rel=1e-3)
        assert trace["x"][0] - trace["error_x"]["arrayminus"][0] == pytest.approx(claim.interval.low, rel=1e-3)
    dots = [trace for trace in found["data"] if "error_x" not in trace]
    assert [len(trace["x"]) for trace in dots] == [4, 4]
    band = next(shape for shape in found["layout"]["shapes"] if shape["type"] == "rect")
    assert (band["x0"], band["x1"]) == (-0.05, 0.05)
    low, high = found["layout"]["xaxis"]["range"]
    assert low < -0.05
    assert high > 0.05
    assert "left of 0 is better" in found["layout"]["xaxis"]["title"]["text"]
    assert "margin ±0.05" in drawing.reading


def test_a_claim_without_pairs_is_said_to_have_none() -> None:
    found = data(named("hostile", "forest"))["layout"]
    assert [one["text"] for one in found["annotations"]] == ["no complete pair"]


def test_slopes_have_a_line_a_pair_and_say_how_many_fall() -> None:
    drawing = named("plain", "slopes")
    assert len(data(drawing)["data"]) == 10
    assert "falls in 10 and rises in 0 of 10 pairs" in drawing.reading


def test_reliability_shows_bars_band_and_thin_bins() -> None:
    findings = CASES["plain"]()
    page = findings.calibration[0].before
    bins = replace(page.diagram, hollow=np.arange(len(page.diagram.count)) == 0)
    from analysis.figures import reliability_diagram

    drawing = reliability_diagram("matched", "control", replace(page, diagram=bins), "as trained")
    points = next(trace for trace in data(drawing)["data"] if "error_y" in trace)
    assert points["marker"]["symbol"] == ["circle-open", *["circle"] * (len(bins.count) - 1)]
    highs = np.array(points["y"]) + np.array(points["error_y"]["array"])
    assert highs == pytest.approx(bins.wilson_high, abs=1e-4)
    band = [trace for trace in data(drawing)["data"] if trace.get("fill") == "tonexty"]
    assert band[0]["y"] == pytest.approx(bins.consistent_low, abs=1e-4)
    assert f"ECE {page.ece:.3f}" in drawing.reading


def test_the_tuning_is_drawn_field_by_field() -> None:
    names = {drawing.name for drawing in all_drawings("retuned")}
    assert {"isolation-optimizer-lr", "isolation-regularization-dropout", "best-of-n"} <= names
    isolation = data(named("retuned", "isolation-optimizer-lr"))
    assert isolation["layout"]["xaxis"]["type"] == "log"
    tunings = CASES["retuned"]().tunings
    tries = [trace for trace in isolation["data"] if trace.get("showlegend")]
    assert tries[0]["y"] == pytest.approx([one.value for one in tunings[0].tries], rel=1e-4)
    best = data(named("retuned", "best-of-n"))["data"]
    assert best[0]["y"] == pytest.approx(tunings[0].best_of_n, rel=1e-4)


def test_an_interaction_is_said_with_its_numbers() -> None:
    drawing = named("factorial", "interaction")
    assert drawing.reading.startswith("dropout changes test/nll by -0.198 without smoothing")
    assert len(data(drawing)["data"]) == 2


def test_the_power_curve_says_when_there_are_enough() -> None:
    findings = CASES["looks"]()
    drawing = named("looks", "power")
    curve = findings.power[0]
    enough = next(n for n, power in zip(curve.pairs, curve.power, strict=True) if power >= 0.8)
    assert f"at {enough} pairs" in drawing.reading


def test_costs_are_stacked_by_what_they_were_for() -> None:
    drawing = costs({"a": {"tuning": 2.0, "matched": 3.0}, "b": {"tuning": 1.0, "matched": 10.0}})
    found = data(drawing)
    assert [trace["x"] for trace in found["data"]] == [[1.0, 2.0], [10.0, 3.0]]
    assert drawing.reading == "16 s in total; b took longest (11 s)."
    assert found["data"][1]["marker"]["pattern"]["bgcolor"] == found["data"][1]["marker"]["color"]


def test_plotly_may_stand_in_a_script_element() -> None:
    source = plotly_js()
    assert "</script" not in source.lower()
    assert "<!--" not in source
    assert "\r\n" not in source


def test_without_kaleido_the_reason_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    assert "extra `png`" in (write_pngs(all_drawings("plain")[:1], tmp_path) or "")


@pytest.mark.slow
@pytest.mark.parallel
def test_pngs_where_a_browser_is(tmp_path: Path) -> None:
    pytest.importorskip("kaleido", reason="needs the extra png")
    some = all_drawings("hostile")[:2]
    missing = write_pngs(some, tmp_path)
    if missing is not None:
        pytest.skip(missing)
    for drawing in some:
        png = (tmp_path / f"{drawing.name}.png").read_bytes()
        assert png.startswith(b"\x89PNG")
        assert int.from_bytes(png[16:20], "big") == 1290


def test_attacks_are_legal_names() -> None:
    assert set(ATTACKS) == set(CASES["hostile"]().spec.all_arms)
