"""Every shipped ablation has a question and sources, can be loaded, and gives verdicts when it is run."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from analysis.ablate import ablate
from analysis.ablation.claims import claims
from analysis.ablation.evidence import read_evidence
from analysis.ablation.shipped import LIBRARY
from analysis.figures import Drawing
from analysis.report import page
from analysis.statistics.paired import Verdict
from search_spaces import AblationSpec, Overrides, Recipe, dump_ablation, load_ablations, parse_ablation
from sweeps.console.output import open_console
from sweeps.driver.work import Options
from sweeps.run_state import RunState

NAMES = sorted(path.stem for path in LIBRARY.glob("*.yaml"))
EXPECTED = {
    "accumulation_scaling",
    "adam_l2_vs_adamw",
    "adamw_vs_sgd",
    "batch_size",
    "beta2",
    "compression",
    "cutmix",
    "dropout",
    "ema",
    "init",
    "instability_rescue",
    "label_smoothing",
    "lookahead",
    "mixup",
    "normalization",
    "precision",
    "robustness",
    "schedules",
    "stacked_regularizers",
    "swa",
    "wd_exclusion",
    "wd_exclusion_tasks",
}
ANSWERS = {
    "accumulation_scaling": ("lr x 1.41", "lr x 2"),
    "batch_size": ("batch of 256", "batch of 16"),
    "dropout": ("a tenth", "half"),
    "ema": ("cosine instead", "average"),
    "label_smoothing": ("hard targets, temperature", "smoothed"),
    "normalization": ("layer", "batch"),
    "schedules": ("cosine", "linear"),
    "stacked_regularizers": ("decay + smoothing", "dropout + decay + smoothing"),
    "swa": ("high rate, last step", "high rate, averaged"),
}
"""(control, treatment) without which the question of an ablation has no answer."""
YEAR = re.compile(r"\b(19|20)\d\d\b")


def load(name: str) -> AblationSpec:
    """Return the ablation, or that of its first task."""
    return load_ablations(name, LIBRARY, Overrides())[0]


def comments(name: str) -> str:
    lines = (LIBRARY / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return "\n".join(line.partition("#")[2] for line in lines if line.lstrip().startswith("#"))


@pytest.mark.parametrize("name", ANSWERS)
def test_the_question_is_answered_by_a_contrast_between_its_treatments(name: str) -> None:
    assert ANSWERS[name] in [one.simple for one in load(name).treatments]


def without_a_browser(drawings: Sequence[Drawing], _: Path) -> str:
    """Prepare the drawings without the browser, which takes longer than the training and is tested elsewhere."""
    assert all(drawing.titled.to_dict() for drawing in drawings)
    return "they are pictures, and take a browser"


def test_nothing_is_missing() -> None:
    assert set(NAMES) >= EXPECTED


@pytest.mark.parametrize("name", NAMES)
class TestFile:
    def test_asks_a_question(self, name: str) -> None:
        spec = load(name)
        assert name == (spec.name if spec.group is None else spec.group.name)
        assert spec.question.endswith("?")

    def test_has_a_source_and_a_reason_for_its_margin(self, name: str) -> None:
        text = comments(name)
        assert YEAR.search(text), "a source has its year"
        assert load(name).metrics.margin is not None
        lines = (LIBRARY / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        [metrics] = [index for index, line in enumerate(lines) if line.startswith("metrics:")]
        assert lines[metrics - 1].startswith("# ")

    def test_every_treatment_says_what_it_does(self, name: str) -> None:
        spec = load(name)
        compared = [one.simple for one in spec.treatments if spec.arms and one.simple]
        for control, treatment in compared:
            assert spec.arms[treatment].says or control != next(iter(spec.arms)), treatment

    def test_every_arm_is_in_a_contrast(self, name: str) -> None:
        spec = load(name)
        assert not spec.arms or set(spec.arms) == {arm for one in spec.treatments for arm in one.coefficients}

    def test_is_written_out_and_read_back(self, name: str) -> None:
        spec = load(name)
        text = dump_ablation(spec)
        assert parse_ablation(text, "dumped", spec.name) == spec
        assert dump_ablation(parse_ablation(text, "dumped", spec.name)) == text

    def test_every_arm_is_a_recipe_and_no_two_are_the_same(self, name: str) -> None:
        spec = load(name)
        assert all(isinstance(spec.recipe(arm), Recipe) for arm in spec.all_arms)
        assert len({(repr(spec.recipe(arm)), one.weights) for arm, one in spec.all_arms.items()}) == len(spec.all_arms)

    def test_the_weights_that_an_arm_reads_are_there(self, name: str) -> None:
        spec = load(name)
        for arm, one in spec.all_arms.items():
            recipe = spec.recipe(arm)
            kept = {"raw", "temperature", recipe.averaging.kind}
            kept |= {f"pruned{100 * share:g}" for share in recipe.signals.pruning}
            kept |= {f"fgsm{epsilon:g}" for epsilon in recipe.signals.fgsm}
            assert one.weights in kept, arm

    @pytest.mark.slow
    @pytest.mark.parallel
    def test_comes_to_verdicts(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(page, "write_pngs", without_a_browser)
        spec = load_ablations(name, LIBRARY, Overrides(("budget.epochs=2",), pairs=2))[0]
        if spec.retune is not None:
            spec = spec.model_copy(update={"retune": spec.retune.model_copy(update={"runs": 2})})
        url = f"sqlite:///{tmp_path / 'sweeps.db'}"
        assert ablate(spec, Options(url, local=True), open_console(io.StringIO()), time.monotonic(), to=tmp_path) == 0
        evidence = read_evidence(url, spec.name)
        # A diverged run is a result of an ablation about instability; a failed run is an error in the file.
        assert not [run.error for run in evidence.runs if run.state is RunState.FAILED]
        assert evidence.pairs == 2
        found = claims(evidence)
        assert len(found) == len(spec.designs) * len(spec.treatments)
        for claim in found:
            assert claim.verdict is not Verdict.NOT_COMPARABLE, claim.mismatches
            # With 2 epochs, the last one is often the best one, so two evaluations of one training may agree.
            trained = {spec.trained_as()[arm] for arm in claim.contrast.coefficients}
            assert claim.verdict is not Verdict.IDENTICAL or len(trained) == 1, claim.contrast.name
            assert claim.comparison is not None or any(claim.failed.values())
