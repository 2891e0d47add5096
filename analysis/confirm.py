"""`sweeps confirm`, and `repeats` of a space: the best recipes of a sweep and its baseline on fresh seeds."""

import time
from pathlib import Path

from rich.console import Console

from analysis.ablate import ablate
from analysis.load import sweeps_frame
from analysis.sweep.evidence import read_sweep
from analysis.sweep.next_steps.follow_up import confirm
from search_spaces import AblationSpec, SpaceSpec, UsageError, diff_specs, parse_ablation
from sweeps import exit_codes
from sweeps.driver.work import Options


def confirm_sweep(
    name: str,
    top: int,
    seeds: int,
    options: Options,
    console: Console,
    began: float,
    new_name: str | None = None,
    to: Path | None = None,
) -> int:
    """Compare the finalists of a sweep with its baseline on fresh seeds, or resume that, and write the report.

    Args:
        name: Name of the sweep.
        top: Maximum number of finalists.
        seeds: Number of fresh seeds of each recipe.
        options: Runner, database and resources.
        console: Console for all output.
        began: Value of `time.monotonic` when the command was started.
        new_name: Name of the ablation; the name of the sweep with `-confirm` by default.
        to: Folder for the report; None for `reports/NAME`.

    Returns:
        The exit code of `sweeps.driver.driver.drive`.

    Raises:
        UsageError: There is no such sweep, it has no finalist, or the ablation is another one than before.
        SweepError: The ablation cannot continue; running the same command again resumes it.
    """
    spec = confirm(read_sweep(options.storage, name), top, seeds, new_name)
    return ablate(spec, options, console, began, to=to, source=name, confirms=True)


def repeat_best(spec: SpaceSpec, options: Options, console: Console) -> int:
    """Confirm a complete sweep as its `repeats` say, or resume that; say so if there is nothing to confirm.

    Args:
        spec: Space of the sweep.
        options: Runner, database and resources.
        console: Console for all output.

    Returns:
        The exit code of `confirm_sweep`.

    Raises:
        UsageError: As for `confirm_sweep`.
        SweepError: As for `confirm_sweep`.
    """
    if spec.repeats is None:
        return exit_codes.DONE
    try:
        wanted = confirm(read_sweep(options.storage, spec.name), spec.repeats.top, spec.repeats.seeds)
    except UsageError as error:
        console.print(f"repeats  not started: {error}", soft_wrap=True)
        return exit_codes.DONE
    if _differs(_stored(options.storage, wanted.name), wanted):
        console.print(
            f"repeats  {wanted.name} has compared other recipes than the best ones of now; for these:"
            f" sweeps confirm {spec.name} --name NEW_NAME",
            soft_wrap=True,
        )
        return exit_codes.DONE
    console.print(f"repeats  the best recipes on fresh seeds, as {wanted.name}", soft_wrap=True)
    began = time.monotonic()
    code = confirm_sweep(spec.name, spec.repeats.top, spec.repeats.seeds, options, console, began)
    if code == exit_codes.DONE:
        console.print(f"         sweeps report {spec.name}    # now begins with this verdict", soft_wrap=True)
    return code


def _stored(url: str, name: str) -> AblationSpec | None:
    frame = sweeps_frame(url)
    texts = frame[(frame["name"] == name) & (frame["kind"] == "ablation")]["spec_yaml"].tolist()
    return parse_ablation(texts[0], f"{name} (stored)", name) if texts else None


def _differs(stored: AblationSpec | None, wanted: AblationSpec) -> bool:
    """Return whether an ablation compares other arms; another number of seeds is reported when it starts."""
    if stored is None:
        return False
    return bool(diff_specs(stored, wanted.model_copy(update={"pairs": stored.pairs})))
