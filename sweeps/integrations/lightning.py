"""Report from the Trainer of Lightning 2.

from sweeps.integrations.lightning import ReportCallback

lightning.Trainer(..., callbacks=[ReportCallback()])
"""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.trainer.states import TrainerFn

from sweeps.client import report


class ReportCallback(Callback):  # type: ignore[misc]  # mypy skips lightning
    """Reports the metrics of every validation, and ends the training when its run is stopped.

    Metrics of the training are left out, since those of an epoch are computed after its validation.
    """

    def __init__(self) -> None:
        self._before: Mapping[str, object] = {}
        self._stopped = False

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Remember the metrics of the training."""
        self._before = dict(trainer.callback_metrics)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Report on the main process, and share its answer with the others."""
        found = trainer.callback_metrics
        metrics = {name: value for name, value in found.items() if value is not self._before.get(name)}
        if self._stopped or trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING or not metrics:
            return
        answer = trainer.is_global_zero and report(metrics, step=trainer.global_step, epoch=trainer.current_epoch + 1)
        self._stopped = trainer.strategy.broadcast(answer)
        trainer.should_stop = trainer.should_stop or self._stopped
