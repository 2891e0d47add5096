"""The parts of a paper: what they say, and that pdfLaTeX and BibTeX take them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.ablation.findings import AblationFindings, ablation_findings
from analysis.compute import ComputeRow
from analysis.report.paper.checklists import answers, compute_text
from analysis.report.paper.document import references_bib, report_tex
from analysis.report.paper.latex import booktabs, escaped
from analysis.report.paper.methods import methods
from analysis.report.paper.references import REFERENCES, bibliography
from tests.analysis.made_evidence import TEXT, evidence_of, seeded, spec_of
from tests.analysis.report_cases import CASES

ROW = ComputeRow("all", 8, 0, 9, ("NVIDIA A",), 5.0, 2.5, 3.0, 2**30, 2**31, (10, 2_000), 0.75)


def made(**changes: object) -> AblationFindings:
    return ablation_findings(evidence_of(spec_of(**changes), seeded(-0.1)))


def words(findings: AblationFindings) -> str:
    return " ".join(f"{one.text}." for one in methods(findings))


@pytest.mark.parametrize("text", ['a_b & 50 % of $x^2$ {#1} ~ \\end{document} <i> | "q"', "a\nb", "[x]*"])
def test_text_means_nothing_to_latex(text: str) -> None:
    shown = escaped(text)
    for mark in ("\\textbackslash{}", "\\textasciicircum{}", "\\textasciitilde{}", "\\textless{}", "\\textgreater{}"):
        shown = shown.replace(mark, "")
    for mark in ("\\textbar{}", "\\textquotedbl{}", "{[}", "{]}", "{*}"):
        shown = shown.replace(mark, "")
    assert not re.findall(r"(?<!\\)[\\&%$#_{}~^]", re.sub(r"\\[&%$#_{}]", "", shown))
    assert "\n" not in shown


def test_characters_that_the_fonts_lack_become_codes() -> None:
    assert escaped("Zürich Łódź ± β → 中 \U0001f600") == r"Zürich Łódź $\pm$ $\beta$ $\rightarrow$ U+4E2D U+1F600"


def test_a_table_has_its_numbers_with_a_minus() -> None:
    text = booktabs(("arm", "mean"), [("a_b", "-0.5"), ("- c", "1e-05")], "Caption 5 %.", "tab:x")
    assert "a\\_b & $-$0.5 \\\\" in text
    assert "- c & 1e-05 \\\\" in text
    assert "\\caption{Caption 5 \\%.}" in text


def test_the_numbers_of_the_tables_are_those_of_the_pairs() -> None:
    findings = made()
    text = report_tex(findings)
    control, treatment = (np.array(arm.values) for arm in findings.arms[:2])
    for arm, values in zip(findings.arms, (control, treatment), strict=False):
        assert f"{escaped(arm.arm)} & {values.mean():.3g} & {values.std(ddof=1):.3g} & {len(values)}" in text
    assert f"$-${abs((treatment - control).mean()):.3g} & " in text


def test_methods_follow_the_design() -> None:
    without = spec_of(TEXT.replace(", margin: 0.05", ""))
    assert "Holm" not in words(made())
    assert "two one-sided tests" in words(made())
    assert "two one-sided tests" not in words(ablation_findings(evidence_of(without, seeded(-0.1))))
    sequential = words(made(looks="e_process"))
    assert "t e-process" in sequential
    assert "paired t-test" not in sequential
    assert "looked at after 3, 6" in words(made(looks=(3, 6), pairs=6))


@pytest.mark.parametrize("case", CASES)
def test_every_reference_that_is_cited_is_there_and_no_other(case: str) -> None:
    findings = CASES[case]()
    cited = {key for keys in re.findall(r"\\cite\{([^}]*)\}", report_tex(findings)) for key in keys.split(",")}
    assert cited == set(re.findall(r"@\w+\{(\w+),", references_bib(findings)))


def test_compute_is_told_with_what_failed() -> None:
    assert compute_text((ROW,)) == (
        "8 runs (9 starts, failed and repeated ones included) took 5 h of run time, 2.5 h of GPU time, and 3 h of CPU"
        " time on NVIDIA A. The largest run needed 1 GiB of main memory and 2 GiB on the GPU. The models have 10 to"
        " 2,000 parameters. The GPUs used 0.75 kWh."
    )
    on_cpu = replace(ROW, hardware=("a CPU",), gpu_hours=0.0, gpu_memory=None, energy_kwh=None, parameters=(7, 7))
    assert "and 3 h of CPU time on a CPU, without a GPU." in compute_text((on_cpu,))
    assert compute_text(()).startswith("Not recorded")


def test_the_checklists_say_yes_only_to_what_is_recorded() -> None:
    [compute] = [one.text for one in answers(made()) if "compute" in one.topic]
    assert compute.startswith("Not recorded")
    [known] = [one.text for one in answers(replace(made(), compute=(ROW,))) if "compute" in one.topic]
    assert known.startswith("The paragraph on compute")


def compiled(folder: Path) -> str:
    """Compile ``report.tex`` in a folder and return the log of the last pass."""
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"]
    for command in (latex, ["bibtex", "report"], latex, latex):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-3000:]
    return (folder / "report.log").read_text(encoding="utf-8", errors="replace")


@pytest.mark.slow
@pytest.mark.parallel
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("case", CASES)
def test_it_compiles(case: str, tmp_path: Path) -> None:
    findings = replace(CASES[case](), compute=(ROW,))
    (tmp_path / "report.tex").write_text(report_tex(findings), encoding="utf-8")
    (tmp_path / "references.bib").write_text(references_bib(findings), encoding="utf-8")
    log = compiled(tmp_path)
    assert "undefined" not in log
    assert (tmp_path / "report.pdf").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parallel
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_every_reference_and_every_printable_character_compiles(tmp_path: Path) -> None:
    latin = "".join(chr(code) for code in (*range(0x20, 0x7F), *range(0xA1, 0x180)) if code != 0xAD)
    document = (
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{textcomp}"
        rf"\begin{{document}}{escaped(latin)} \cite{{{','.join(REFERENCES)}}}"
        r"\bibliographystyle{plain}\bibliography{references}\end{document}"
    )
    (tmp_path / "report.tex").write_text(document, encoding="utf-8")
    (tmp_path / "references.bib").write_text(bibliography(REFERENCES), encoding="utf-8")
    assert "undefined" not in compiled(tmp_path)
