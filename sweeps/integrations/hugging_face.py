"""Report from the Trainer of Hugging Face Transformers.

from sweeps.integrations.hugging_face import ReportCallback

Trainer(..., callbacks=[ReportCallback()])
"""

import math
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback

from sweeps.client import report

_SUMMARY = "train_runtime"  # its log has the mean loss of the training under the name of the loss of a step
_PROGRESS = ("epoch", "step")


class ReportCallback(TrainerCallback):  # type: ignore[misc]  # mypy skips transformers
    """Reports what the Trainer logs, which includes every evaluation, and ends the training when its run is stopped.

    The position is `global_step`, and the epoch is the one that the step belongs to. With a budget in epochs, the first
    value of an epoch is recorded.
    """

    def __init__(self) -> None:
        self._stopped = False

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **others: Any) -> None:
        """Report on the main process, and share its answer with the others."""
        metrics = {name: one for name, one in (logs or {}).items() if name not in _PROGRESS and _is_number(one)}
        if self._stopped or not metrics or _SUMMARY in metrics:
            return
        answer = state.is_world_process_zero and report(
            metrics, step=state.global_step, epoch=math.ceil(state.epoch or 0)
        )
        [self._stopped] = broadcast_object_list([answer])
        control.should_training_stop = control.should_training_stop or self._stopped


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
