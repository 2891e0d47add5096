"""The grammar of printed lines, on lines as well-known programs print them."""

from __future__ import annotations

import math

import pytest

from trainers.command.metrics.text import parse_line

HF = "{'loss': %s, 'grad_norm': %s, 'learning_rate': %s, 'epoch': %s}"


@pytest.mark.parametrize(
    ("line", "progress", "unit", "values"),
    [
        ("Epoch 3/10 - loss: 0.42 - val_acc=91.2% | lr 1e-3", 3, "epoch", {"loss": 0.42, "val_acc": 91.2, "lr": 1e-3}),
        ("step 100: train loss 1.234, val loss 1.345", 100, "step", {"train loss": 1.234, "val loss": 1.345}),
        ("iter 20: loss 4.28, time 1320.10ms, mfu -100.00%", 20, "step", {"loss": 4.28, "mfu": -100}),
        ("[epoch 2] loss=0.5", 2, "epoch", {"loss": 0.5}),
        ("[Epoch 00007] Loss: 5.", 7, "epoch", {"Loss": 5}),
        ("Iteration 5000, loss = .25", 5000, "step", {"loss": 0.25}),
        ("it=4 loss=+2.5E-3", 4, "step", {"loss": 0.0025}),
        ("GLOBAL_STEP: 12 | Reward: -3", 12, "step", {"Reward": -3}),
        ("Epoch 2, Step 100/938, Loss 0.3", 100, "step", {"Epoch": 2, "Loss": 0.3}),
        ("Epoch 3: best epoch: 2, loss=1", 3, "epoch", {"loss": 1}),
        (
            "Epoch: [0][  10/5005]\tTime  0.30 ( 0.51)\tLoss 6.9e+00 (7.0e+00)\tAcc@1   0.50 (  0.10)",
            *(0, "epoch", {"Time": 0.3, "Loss": 6.9, "Acc@1": 0.5}),
        ),
        (
            "2021-05-01 10:00:00 | INFO | train_inner | epoch 001:    100 / 1000 loss=5.4, ppl=42.2, lr=1e-05",
            *(1, "epoch", {"loss": 5.4, "ppl": 42.2, "lr": 1e-5}),
        ),
        (
            "2021-05-01 10:00:00 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 5.1 | ppl 34 | wps 9.5",
            *(1, "epoch", {"loss": 5.1, "ppl": 34, "wps": 9.5}),
        ),
        (
            "938/938 [==============================] - 3s 3ms/step - loss: 0.43 - val_loss: 0.2",
            *(None, "step", {"loss": 0.43, "val_loss": 0.2}),
        ),
        (
            "\x1b[1m938/938\x1b[0m \x1b[32m━━━━━━━\x1b[0m \x1b[1m3s\x1b[0m 3ms/step - accuracy: 0.87 - loss: 0.43",
            *(None, "step", {"accuracy": 0.87, "loss": 0.43}),
        ),
        (
            "Epoch 3: 100%|█| 12/12 [00:01<00:00, 9.5it/s, v_num=0, train_loss=0.31]",
            *(3, "epoch", {"v_num": 0, "train_loss": 0.31}),
        ),
        (
            "Validation loss: 100%|████| 10/10 [00:01<00:00, 9.5it/s, acc=0.5]",
            *(None, "step", {"acc": 0.5}),
        ),
        ("2026-01-01 12:00:00,123 INFO train: loss=0.25", None, "step", {"loss": 0.25}),
        ("2026-01-01 12:00:00.123 | INFO | __main__:main:42 - loss=0.3 step=7", 7, "step", {"loss": 0.3}),
        ("train.py:123: loss:0.5", None, "step", {"loss": 0.5}),
        ("Validation Loss: 0.3, Test  accuracy: 91%", None, "step", {"Validation Loss": 0.3, "Test accuracy": 91}),
        ("best val loss: 0.3. Done.", None, "step", {"val loss": 0.3}),
        ("損失: 0.3 größe=3", None, "step", {"損失": 0.3, "größe": 3}),
        ("\x1b[32mloss\x1b[0m=\x1b[1m0.5\x1b[0m", None, "step", {"loss": 0.5}),
        ("loss: 1 loss: 2", None, "step", {"loss": 1}),
        ("s: 3 m: 4 b=5", None, "step", {"s": 3, "m": 4, "b": 5}),
        ("a=inf b: -Infinity", None, "step", {"a": math.inf, "b": -math.inf}),
        (
            HF % (0.31, 2.5, "1e-05", 0.5),
            None,
            "step",
            {"loss": 0.31, "grad_norm": 2.5, "learning_rate": 1e-5, "epoch": 0.5},
        ),
        (
            HF % ("'0.31'", "inf", "'1e-05'", "'1.0'"),
            None,
            "step",
            {"loss": 0.31, "grad_norm": math.inf, "learning_rate": 1e-5, "epoch": 1},
        ),
        (
            '{"loss": 0.3, "step": 100, "val": {"acc": 1}, "ok": true, "tag": "b7"}',
            100,
            "step",
            {"loss": 0.3, "val/acc": 1},
        ),
        ('{"Step": 100.0, "loss": "3e-1", "epoch": 4}', 100, "step", {"loss": 0.3, "epoch": 4}),
        ('INFO:root:{"loss": 0.3, "iteration": 5}', 5, "step", {"loss": 0.3}),
        ("step 100 {'loss': -inf}", 100, "step", {"loss": -math.inf}),
        ("Epoch 3 starts", 3, "epoch", {}),
        ("Epoch 00003: val_loss improved from inf to 0.30, saving model", 3, "epoch", {}),
    ],
)
def test_what_a_line_reports(line: str, progress: int | None, unit: str, values: dict[str, float]) -> None:
    assert parse_line(line, None) == (progress, unit, values)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Loading 3 files of 12 in 0.5 s",
        "version: 1.2.3 host: 10.0.0.1 date: 2026-01-01 at: 12:30 ratio: 3/10",
        "size: 10 MB took: 3.2 s, time=5ms, speed: 8.5 it/s, disk=3GB, memory: 1.5 GiB",
        "host:8080 main.py:42 - ready",
        "params: 1,234,567 mask=0x1f seed=1_000 betas: (0.9, 0.999)",
        "python train.py --lr=0.1 --seed 3",
        "lr 1e-3",
        "Saved at step 100",
        " 12%|█▏ | 12/100 [00:01<00:07, 9.5it/s, loss=0.31]",
        "\x1b[1m50/938\x1b[0m ━━━━ 3s 3ms/step - loss: 1.2",
        "{'loss': tensor(0.3)}",
        '{"cut": 0.',
        "c: None a: nano b=information",
        "[1, 2]",
    ],
)
def test_a_line_that_reports_nothing(line: str) -> None:
    assert parse_line(line, None) is None


def test_an_unfinished_bar_is_removed_and_the_rest_is_read() -> None:
    line = " 50%|█████ | 5/10 [00:01<00:01,  5.00it/s, loss=0.31]epoch 1: val_loss 0.5"
    assert parse_line(line, None) == (1, "epoch", {"val_loss": 0.5})


@pytest.mark.parametrize(
    "line", ["loss: nan", "loss=-NaN", "{'loss': nan}", '{"loss": NaN}', '{"loss": null}', "{'loss': None}"]
)
def test_an_undefined_value_is_nan(line: str) -> None:
    parsed = parse_line(line, None)
    assert parsed is not None
    assert math.isnan(parsed[2]["loss"])


@pytest.mark.parametrize("line", ["epoch 3 step 100 loss=1", '{"epoch": 3, "step": 100, "loss": 1}'])
def test_the_unit_decides_on_a_line_with_both(line: str) -> None:
    assert parse_line(line, "step") == (100, "step", {"epoch": 3, "loss": 1})
    assert parse_line(line, "epoch") == (3, "epoch", {"step": 100, "loss": 1})


@pytest.mark.parametrize(
    "line",
    [
        "x=" + "1" * 60_000 + "x",
        "step" + " " * 60_000 + "x",
        "a=" * 30_000,
        "a" * 60_000,
        "1%|" * 20_000,
        "\x1b]" * 30_000,
        "{'a': " + "-" * 60_000 + "1}",
        "{'a': " + "(" * 60_000 + "}",
        '{"a":' * 10_000 + "}" * 10_000,
        "{'a': 1or 2, '\\d': 1}",
        '{"a": ' + "9" * 5_000 + "}",
        "{'a': 1" + "0" * 400 + "}",
        "epoch 1 | " + " " * 60_000 + "x",
        "train " * 10_000,
    ],
)
def test_odd_lines_are_harmless(line: str) -> None:
    parsed = parse_line(line, None)
    assert parsed is None or all(isinstance(value, float) for value in parsed[2].values())
