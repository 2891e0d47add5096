from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from sweeps.integrations import lightning as integration

pytestmark = pytest.mark.filterwarnings("ignore")  # advice of Lightning, such as about the number of its workers


class Module(lightning.LightningModule):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        self.log("val_loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]))
        self.log("epoch_seen", float(self.current_epoch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def train(folder: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int) -> tuple[list[dict[str, Any]], Any]:
    reports: list[dict[str, Any]] = []

    def record(metrics: dict[str, Any], **progress: int) -> bool:
        reports.append({**progress, **{name: float(value) for name, value in metrics.items()}})
        return progress["epoch"] >= stop_at

    monkeypatch.setattr(integration, "report", record)
    x = torch.arange(8.0).unsqueeze(1)
    data = DataLoader(TensorDataset(x, 2 * x), batch_size=4)
    trainer = lightning.Trainer(
        max_epochs=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, callbacks=[integration.ReportCallback()],
    )  # fmt: skip
    trainer.fit(Module(), data, data)
    return reports, trainer


def test_every_validation_is_reported_with_its_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports, trainer = train(tmp_path, monkeypatch, stop_at=99)
    assert [(one["step"], one["epoch"], one["epoch_seen"]) for one in reports] == [
        (2, 1, 0.0),
        (4, 2, 1.0),
        (6, 3, 2.0),
        (8, 4, 3.0),
    ]
    assert {name for one in reports for name in one} == {"step", "epoch", "epoch_seen", "val_loss"}
    assert reports[-1]["val_loss"] == float(trainer.callback_metrics["val_loss"])


def test_a_stop_ends_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports, trainer = train(tmp_path, monkeypatch, stop_at=2)
    assert [one["epoch"] for one in reports] == [1, 2]
    assert trainer.current_epoch == 2
