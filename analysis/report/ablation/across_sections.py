"""All sections of the report of an ablation of several tasks, in order."""

from dataclasses import replace

from analysis.across_tasks.findings import RANKED_ARMS, RANKED_TASKS, AcrossFindings
from analysis.across_tasks.sentences import scale_words
from analysis.figures import rank_diagram, task_forest
from analysis.report.ablation.across_tables import ACROSS_HEAD, TASK_HEAD, across_rows, task_rows
from analysis.report.blocks import Bullets, CodeBlock, Section, Text, pictures, section, table, text, with_own_names
from analysis.report.compute import compute_blocks
from analysis.wording import NONE, between, number, or_dash, p_words, signed
from search_spaces.values import counted


def across_sections(found: AcrossFindings) -> tuple[Section, ...]:
    """Return the sections of the report. All drawings have unique names."""
    parts = (_asked, _verdicts, _effects, _descriptions, _compute, _caveats, _reproduce)
    return with_own_names([replace(make(found), number=number) for number, make in enumerate(parts)])


def _asked(found: AcrossFindings) -> Section:
    spec = found.spec
    margin = "none declared" if spec.metrics.margin is None else f"±{number(spec.metrics.margin)}"
    facts = [
        ("question", spec.question),
        ("primary metric", f"{spec.metrics.primary}, {spec.metrics.goal}; smallest change that matters: {margin}"),
        ("common scale", f"{found.scale}: {found.why}"),
        ("these tasks", "the tasks of this report at their recipes: the mean of their effects"),
        ("tasks like these", "a population of tasks from which these are a sample: its mean effect"),
    ]
    rows = [(task, *_task_facts(found, task)) for task in found.group.tasks]
    return section(
        0,
        "What was asked",
        table("Ablation", ("", ""), facts, words=2),
        table("Tasks", ("task", "data and model", "recipe", "pairs", "report"), rows, words=5),
    )


def _task_facts(found: AcrossFindings, task: str) -> tuple[str, ...]:
    one = found.tasks.get(task)
    if one is None:
        return (NONE, NONE, "not stored", NONE)
    spec = one.spec
    recipe = f"{spec.space.recipe.optimizer.kind}, {spec.space.recipe.budget.text}"
    recipe = spec.space.recipe.budget.text if spec.space.command else recipe
    return (spec.space.task_name, recipe, f"{one.pairs} of {spec.pairs}", f"{task}/index.html")


def _verdicts(found: AcrossFindings) -> Section:
    rows = [row for claim in found.claims for row in across_rows(claim)]
    words = (
        f"Means and intervals are differences in {scale_words(found)}, at 95 %. These tasks: mean of the effects of "
        "the tasks, each with its own variance over pairs, and the degrees of freedom of Satterthwaite; the verdict "
        "rests on it. Tasks like these: random effects, with the interval of Hartung and Knapp at equal weights."
    )
    if found.spec.metrics.margin is not None:
        words += " The margin is compared with the mean change, which is in units of the metric."
    if found.claims and found.claims[0].family > 1:
        words += f" p (Holm): p, adjusted for the {found.claims[0].family} contrasts of a design."
    return section(
        1,
        "Verdicts",
        table("Effects over all tasks", ACROSS_HEAD, rows, words=3),
        Text(words),
    )


def _effects(found: AcrossFindings) -> Section:
    rows = [row for claim in found.claims for row in task_rows(claim)]
    note = (
        f"Change: treatment minus control in units of {found.spec.metrics.primary}. Scaled: difference in "
        f"{scale_words(found)}. Both intervals are paired t intervals at 95 %, not adjusted. The verdict of a task is "
        "that of its own report."
    )
    goal = found.spec.metrics.goal
    drawn = [task_forest(claim, scale_words(found), goal) for claim in found.claims]
    return section(
        2, "Effects by task", pictures(*drawn), table("Effects by task", TASK_HEAD, rows, words=3), text(note)
    )


def _descriptions(found: AcrossFindings) -> Section:
    rows = [
        (
            claim.contrast.name,
            claim.design,
            signed(claim.middle[0]),
            between(claim.middle[1]),
            or_dash(claim.tau, number),
        )
        for claim in found.claims
        if claim.middle is not None
    ]
    ranks = [
        (ranking.design, arm, f"{rank:.2f}")
        for ranking in found.rankings
        for arm, rank in zip(ranking.arms, ranking.result.ranks, strict=True)
    ]
    return section(
        3,
        "Descriptions",
        table(
            "Middle of all pairs of all tasks",
            ("contrast", "design", "interquartile mean", "bootstrap interval", "sd between tasks"),
            rows,
            words=2,
        ),
        text(_MIDDLE if rows else ""),
        pictures(*(rank_diagram(ranking) for ranking in found.rankings)),
        table("Mean ranks of the arms over tasks (1 is best)", ("design", "arm", "mean rank"), ranks, words=2),
        text(_ranking_words(found)),
        why="No task has a complete pair.",
    )


_MIDDLE = (
    "Interquartile mean: mean of the middle half of the effects of all pairs of all tasks, so no single task dominates "
    "it. Its interval draws pairs again within each task; with few pairs it is too narrow, and no verdict rests on it."
)


def _ranking_words(found: AcrossFindings) -> str:
    if not found.rankings:
        return (
            f"Arms are ranked over tasks from {RANKED_TASKS} tasks and {RANKED_ARMS} arms on, found "
            f"{counted(len(found.tasks), 'task')} and {counted(len(found.spec.all_arms), 'arm')}."
        )
    sentences = []
    for ranking in found.rankings:
        p = "no test, since all scores are equal" if ranking.result.p is None else p_words(ranking.result.p)
        sentences.append(
            f"{ranking.design}: Friedman's test {p}; mean ranks that differ by less than "
            f"{ranking.result.difference:.2f} are not distinguished by Nemenyi's test at .05."
        )
    return " ".join(sentences)


def _compute(found: AcrossFindings) -> Section:
    return section(
        4, "Compute", *compute_blocks(found.compute, "task"), why="What the runs have used was not recorded."
    )


def _caveats(found: AcrossFindings) -> Section:
    return section(5, "Caveats", Bullets(found.caveats))


def _reproduce(found: AcrossFindings) -> Section:
    name = found.group.name
    files = (
        "pairs.csv: metrics of every task, design, pair and arm, with the run they come from and its seed",
        "effects.csv: the effect in every complete pair on the common scale",
        "report.json: all numbers and sentences of this report",
        *(f"{task}/: the report of {task}, with its ablation.yaml" for task in found.tasks),
    )
    seeds = ", ".join(f"{task} {one.spec.space.sampler.seed}" for task, one in found.tasks.items())
    return section(
        6,
        "Reproduce",
        CodeBlock(f"sweeps report {name}    # write these reports again from the database"),
        Text(f"The random streams of each task are derived from a seed of its own: {seeds}."),
        Text("Files in this folder:"),
        Bullets(files),
    )
