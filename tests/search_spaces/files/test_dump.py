from __future__ import annotations

from search_spaces import Choice, Uniform, diff_specs, dump_space, load_space, parse_space

CANONICAL = """\
kind: sweep
task: digits
metric: {name: val/accuracy, goal: maximize}
recipe:
  optimizer: {kind: sgd, lr: 1.0, momentum: 0.9, nesterov: true, weight_decay: 0.0005, decay: matrices, \
decay_embeddings: true}
  groups: {layer_decay: 1.0, head_lr_scale: 1.0, frozen: []}
  lookahead: {k: 0, alpha: 0.5}
  switch: null
  schedule: {kind: linear, warmup: 0.0, warmup_steps: 5, min_factor: 0.0}
  weight_decay_schedule: {kind: constant, final_factor: 0.0}
  regularization: {dropout: 0.0, label_smoothing: 0.0, clip_norm: null, clip_value: null, drop_path: 0.0, mixup: 0.0, \
cutmix: 0.0}
  averaging: {kind: none}
  patience: {epochs: null, reports: null, min_delta: 0.0, restore_best: true}
  precision: {kind: fp32, compile: false, deterministic: false, device: auto}
  signals: {train_rescored: false, pruning: [], fgsm: []}
  model: {kind: null, width: null, depth: null, norm: null, init: default, \
mup_base: null, \
lora_rank: null, lora_alpha: 16.0, sync_batch_norm: false}
  budget: {epochs: 27, batch_size: 64, accumulation: 1, lr_scaling: none, base_batch_size: 256}
  custom: {answer: "no, \\U000000e9", flag: true, word: "null"}
search:
  custom.word: {choice: [a, "1", null_]}
  optimizer.lr: {loguniform: [1e-05, 0.1]}
sampler: {kind: tpe, seed: 0, startup: 10}
early_stopping: {kind: none}
runs: 3
resources: {cpu: 1.0, gpu: 0.0, processes: 1, custom: {}, labels: {}}
checkpoint_every_s: 10.0
"""
WRITTEN = """\
runs: 3
search:
  optimizer.lr: {loguniform: [1e-5, 1e-1]}
  custom.word: {choice: [a, '1', null_]}
kind: sweep
early_stopping: {kind: none}
metric: {goal: maximize, name: val/accuracy}
task: digits
recipe:
  custom: {flag: true, answer: 'no, é', word: 'null'}
  schedule: {warmup_steps: 5, kind: linear}
  optimizer: {kind: sgd, lr: 1}
"""


def test_the_canonical_form() -> None:
    spec = parse_space(WRITTEN, "f", "mine")
    assert dump_space(spec) == CANONICAL
    assert dump_space(parse_space(CANONICAL, "f", "mine")) == CANONICAL


def test_an_extension_is_spelled_out() -> None:
    text = dump_space(load_space("finetune"))
    assert "extends" not in text
    assert "lr: 0.001" in text


def test_no_search() -> None:
    spec = load_space("finetune").model_copy(update={"search": {}})
    assert parse_space(dump_space(spec), "f", "finetune") == spec


def test_a_difference_is_one_line_per_field() -> None:
    old = load_space("finetune")
    new = load_space("finetune", ["budget.epochs=9", "optimizer.lr=0.5"], runs=4)
    assert diff_specs(old, new) == (
        "recipe.optimizer.lr: 0.001 -> 0.5",
        "recipe.budget.epochs: 27 -> 9",
        "search.optimizer.lr: {loguniform: [1e-05, 0.1]} -> absent",
        "runs: 32 -> 4",
    )
    assert diff_specs(old, old) == ()


def test_differences_of_kinds_and_of_new_fields() -> None:
    old = load_space("finetune").model_copy(update={"search": {"optimizer.lr": Uniform(0.1, 1)}})
    new = load_space("vision_scratch").model_copy(update={"search": {"optimizer.lr": Choice([1])}})
    lines = diff_specs(old, new)
    assert "name: finetune -> vision_scratch" in lines
    assert "recipe.optimizer.kind: adamw -> sgd" in lines
    assert "recipe.optimizer.momentum: absent -> 0.9" in lines
    assert "recipe.optimizer.betas: [0.9, 0.999] -> absent" in lines
    assert "search.optimizer.lr: {uniform: [0.1, 1.0]} -> {choice: [1]}" in lines
