import math
import os

import pytest
import torch
from torch import nn

from search_spaces.errors import UsageError
from search_spaces.recipe.optimizers import SGD
from search_spaces.recipe.recipe import Budget, Precision, Recipe, Regularization
from search_spaces.recipe.schedules import Constant
from search_spaces.seeds import derive_seed
from trainers.compute import precision as precision_module
from trainers.compute.precision import Arithmetic, check_precision, choose_device, gpu_record
from trainers.compute.rank import ALONE, Rank
from trainers.loop import training as training_module
from trainers.loop.training import Training
from trainers.seeding import seed_for, stream

CPU = torch.device("cpu")
NO_CARD = "precision.device cuda: torch finds no CUDA device; set resources.gpu on a machine with one, or use auto"


def recipe(**precision) -> Recipe:
    return Recipe(
        optimizer=SGD(lr=0.1, weight_decay=0.0),
        schedule=Constant(),
        regularization=Regularization(clip_norm=0.2),
        precision=Precision(**precision),
        budget=Budget(epochs=3, batch_size=10),
    )


def test_fp16_is_refused_on_a_cpu(blobs):
    with pytest.raises(UsageError, match=r"precision\.kind fp16 needs CUDA, found cpu; use bf16 or fp32"):
        Training(recipe(kind="fp16"), blobs, 0)
    check_precision(Precision(kind="fp16"), torch.device("cuda"))
    check_precision(Precision(kind="bf16"), CPU)


@pytest.mark.parametrize(
    ("wanted", "cards", "rank", "expected"),
    [
        ("auto", 0, ALONE, "cpu"),
        ("auto", 2, ALONE, "cuda"),
        ("cpu", 2, ALONE, "cpu"),
        ("cuda", 1, ALONE, "cuda"),
        ("auto", 0, Rank(1, 2), "cpu"),
        ("cpu", 2, Rank(1, 2), "cpu"),
        ("auto", 2, Rank(1, 2), "cuda:1"),
        ("cuda", 0, ALONE, NO_CARD),
        ("auto", 1, Rank(0, 2), "resources.processes: 2 processes need 2 CUDA devices, found 1"),
    ],
)
def test_the_device_is_the_recipes_choice(monkeypatch, wanted, cards, rank, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    if " " in expected:
        with pytest.raises(UsageError) as raised:
            choose_device(Precision(device=wanted), rank)
        assert str(raised.value) == expected
    else:
        assert choose_device(Precision(device=wanted), rank) == torch.device(expected)


def test_a_training_on_a_missing_device_is_refused(blobs):
    if torch.cuda.is_available():
        pytest.skip("there is CUDA here")
    with pytest.raises(UsageError, match="or use auto"):
        Training(recipe(device="cuda"), blobs, 0)
    Training(recipe(device="cpu"), blobs, 0).run_epoch()


@pytest.mark.parametrize("kind", ["fp32", "bf16", "fp16"])
def test_equal_to_a_loop_with_torch_amp(blobs, monkeypatch, kind):
    """Test fp16 as well, which a CPU supports, only slowly."""
    monkeypatch.setattr(training_module, "check_precision", lambda precision, device: None)
    training = Training(recipe(kind=kind), blobs, 0)
    model = blobs.model(recipe())
    model.load_state_dict(training.model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    scaler = torch.amp.GradScaler("cpu", enabled=kind == "fp16")
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[kind]
    train = blobs.data(seed_for(blobs, derive_seed(0, "split"))).train
    for epoch in range(3):
        for indices in torch.randperm(70, generator=stream(0, "order", epoch)).split(10):
            with torch.autocast("cpu", dtype, enabled=kind != "fp32"):
                logits = model(train.inputs[indices])
            assert logits.dtype == dtype
            loss = nn.functional.cross_entropy(logits.float(), train.targets[indices])
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 0.2)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        metrics = training.run_epoch().metrics
        assert 0.0 < metrics["train/clip_rate"] <= 1.0
    for p, q in zip(training.model.parameters(), model.parameters(), strict=True):
        assert p.dtype == torch.float32
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("exponent", [18, 40], ids=["some_steps", "all_steps_of_an_epoch"])
def test_an_overflow_under_fp16_costs_a_step_and_not_the_run(blobs, monkeypatch, exponent):
    monkeypatch.setattr(training_module, "check_precision", lambda precision, device: None)
    training = Training(recipe(kind="fp16"), blobs, 0)
    training._arithmetic._scaler = torch.amp.GradScaler("cpu", init_scale=2.0**exponent)
    report = training.run_epoch()
    assert report.finite
    assert (report.metrics["train/grad_norm"] > 0) == (exponent == 18)
    assert training.state_dict()["scaler"]["scale"] < 2.0**exponent
    again = Training(recipe(kind="fp16"), blobs, 0)
    again.load_state_dict(training.state_dict())
    assert again.state_dict()["scaler"] == training.state_dict()["scaler"]
    expected, found = training.run_epoch().metrics, again.run_epoch().metrics
    assert {n: v for n, v in expected.items() if "second" not in n} == {
        n: v for n, v in found.items() if "second" not in n
    }


def test_bf16_gives_other_numbers_and_learns(blobs):
    bf16, fp32 = ([Training(recipe(kind=kind), blobs, 0)] for kind in ("bf16", "fp32"))
    losses = [[training.run_epoch().metrics["train/loss"] for _ in range(3)] for [training] in (bf16, fp32)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert losses[0][-1] < losses[0][0]


def test_deterministic_kernels_hold_inside_the_block_only(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with Arithmetic(Precision(deterministic=True), CPU).kernels():
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark
    with Arithmetic(Precision(), CPU).kernels():
        assert not torch.are_deterministic_algorithms_enabled()


def test_a_compiled_training_is_the_same_training(blobs, monkeypatch):
    compiled = []

    def compile_eagerly(model):
        compiled.append(model)
        return original(model, backend="eager")  # the default backend wants a C++ compiler and half a minute

    original = torch.compile
    monkeypatch.setattr(torch, "compile", compile_eagerly)
    training, plain = Training(recipe(compile=True), blobs, 0), Training(recipe(), blobs, 0)
    assert compiled == [training.model]
    assert training.state_dict()["model"].keys() == plain.state_dict()["model"].keys()
    assert training.run_epoch().metrics["val/nll"] == pytest.approx(plain.run_epoch().metrics["val/nll"], rel=1e-4)


def test_fp32_is_computed_without_tf32_inside_the_block_only():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with Arithmetic(Precision(), CPU).kernels():
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


@pytest.mark.parametrize(("kind", "expected"), [("fp32", None), ("bf16", torch.bfloat16), ("fp16", None)])
def test_fp16_is_evaluated_in_fp32(kind, expected):
    arithmetic = Arithmetic(Precision(kind=kind), CPU)
    with arithmetic.evaluation():
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == (expected or torch.float32)


def test_logits_that_overflow_in_fp16_do_not_diverge(blobs, monkeypatch):
    monkeypatch.setattr(training_module, "check_precision", lambda precision, device: None)
    training = Training(recipe(kind="fp16"), blobs, 0)
    with torch.no_grad():
        training.model[-1].weight.mul_(1e6)
    assert math.isfinite(training._scorer.score("raw", training.model).val.loss)


@pytest.mark.parametrize(("capability", "warns"), [((7, 5), True), ((8, 0), False), ((9, 0), False)])
def test_emulated_bf16_is_a_warning(monkeypatch, capability, warns):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    card = torch.device("cuda")
    check_precision(Precision(), card)
    if warns:
        with pytest.warns(UserWarning, match=r"precision\.kind: Tesla T4 only emulates bf16"):
            check_precision(Precision(kind="bf16"), card)
    else:
        check_precision(Precision(kind="bf16"), card)


def test_each_compiled_training_gets_its_own_code(blobs, monkeypatch):
    """Test more widths than torch keeps compiled forms of one piece of code: without a reset, the last are eager."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: original(model, backend=backend, dynamic=False))
    arithmetic = Arithmetic(Precision(compile=True), CPU)
    widths = range(2, 13)
    for width in widths:
        arithmetic.compiled(nn.Sequential(nn.Linear(3, width), nn.ReLU()))(torch.ones(2, 3))
    assert len(graphs) == len(widths)


def test_the_record_of_a_gpu(monkeypatch, tmp_path):
    assert gpu_record(CPU) == {}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(precision_module, "_DRIVER", tmp_path / "version")
    card = torch.device("cuda")
    versions = "CUDA 12.6, cuDNN 91002, TF32 off"
    assert gpu_record(card) == {"device": "NVIDIA H100", "cuda": f"driver unknown, {versions}"}
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX Open Kernel Module  570.124.06  Release Build\n")
    assert gpu_record(card)["cuda"] == f"driver 570.124.06, {versions}"
