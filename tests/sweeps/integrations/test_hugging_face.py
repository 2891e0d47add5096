from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainingArguments

from sweeps.integrations import hugging_face


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        predicted = x * self.weight
        return {"loss": ((predicted - labels) ** 2).mean(), "logits": predicted}


def train(folder: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int) -> tuple[list[dict[str, Any]], Trainer]:
    reports: list[dict[str, Any]] = []

    def record(metrics: dict[str, float], **progress: int) -> bool:
        reports.append({**progress, **metrics})
        return progress["step"] >= stop_at

    monkeypatch.setattr(hugging_face, "report", record)
    data = [{"x": torch.tensor([float(i)]), "labels": torch.tensor([2.0 * i])} for i in range(8)]
    arguments = TrainingArguments(
        str(folder), num_train_epochs=3, per_device_train_batch_size=4, learning_rate=0.01, logging_steps=1,
        eval_strategy="epoch", save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    trainer = Trainer(Model(), arguments, train_dataset=data, eval_dataset=data)  # type: ignore[arg-type]
    trainer.add_callback(hugging_face.ReportCallback)
    trainer.train()
    return reports, trainer


def test_what_the_trainer_logs_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports, trainer = train(tmp_path, monkeypatch, stop_at=99)
    history = trainer.state.log_history
    assert [one["step"] for one in reports] == [1, 2, 2, 3, 4, 4, 5, 6, 6]
    assert [one["epoch"] for one in reports] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    for name in ("loss", "learning_rate", "eval_loss"):
        found = [one[name] for one in reports if name in one]
        assert found == [one[name] for one in history if name in one]
        assert len(found) in (3, 6)
    assert not any("train_loss" in one for one in reports)


def test_a_stop_ends_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports, trainer = train(tmp_path, monkeypatch, stop_at=3)
    assert [one["step"] for one in reports] == [1, 2, 2, 3]
    assert trainer.state.global_step == 3
