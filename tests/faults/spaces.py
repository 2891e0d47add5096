"""The spaces of the trials: real trainings with many steps, and loops that pause between epochs."""

from __future__ import annotations

from verdicts import Rule

_REAL = """
kind: sweep
extends: finetune
runs: {runs}
recipe:
  budget: {{epochs: {epochs}, batch_size: {batch_size}}}
checkpoint_every_s: 0.5
"""

# Several fields, because a space that searches only the learning rate gets a warning.
SEARCH = (
    "optimizer.lr: {loguniform: [1e-5, 1e-1]}, optimizer.weight_decay: {loguniform: [1e-4, 1]}, "
    "schedule.warmup: {uniform: [0.0, 0.3]}"
)
_LOOP = """
kind: sweep
task: {task}
metric: {{name: val/accuracy, goal: maximize}}
recipe:
  optimizer: {{kind: adamw, lr: 1.0e-2}}
  budget: {{epochs: {epochs}}}
  custom: {{{custom}}}
search: {{{search}}}
sampler: {{kind: {sampler}}}
early_stopping: {{kind: none}}
runs: {runs}
checkpoint_every_s: {checkpoint_every_s}
{more}
"""


def real(runs: int = 32, epochs: int = 27, batch_size: int = 2) -> tuple[str, Rule]:
    """Return the shipped space finetune with long epochs, more checkpoints and ASHA."""
    return _REAL.format(runs=runs, epochs=epochs, batch_size=batch_size), Rule.asha(runs, epochs)


def loop(
    task: str = "fault_loops:paced",
    runs: int = 5,
    epochs: int = 9,
    custom: str = "pause: 0.1",
    search: str = SEARCH,
    sampler: str = "random",
    checkpoint_every_s: float = 0.2,
    more: str = "",
) -> tuple[str, Rule]:
    """Return the space of a loop in loops/ without early stopping; in `paced`, run 0 is the best run."""
    text = _LOOP.format(**locals())
    return text, Rule(runs, epochs, (), 1)
