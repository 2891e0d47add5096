import pytest

from search_spaces.metric_names import LONGEST_NAME, check_metric_name, must_be_finite, split_weights


@pytest.mark.parametrize(
    "name",
    ["val/accuracy", "val/hits@10", "val/macro f1", "val/cls/f1", "val/точность", "val/acc%", "a.b-c/d+e", "val/[f1]"],
)
def test_names(name):
    assert check_metric_name(name) == name


@pytest.mark.parametrize(
    "name", ["val_loss", "val/", "/loss", "2/loss", "val/ loss", "val/loss\n", "val/a\0", 3, None, "val/" + "x" * 125]
)
def test_what_is_no_name(name):
    with pytest.raises(
        ValueError, match=f"^must be split/name, such as val/accuracy, of at most {LONGEST_NAME} .* found"
    ):
        check_metric_name(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("val/nll", ("nll", "raw")),
        ("val/nll@ema", ("nll", "ema")),
        ("test/nll@ema+temperature", ("nll", "ema+temperature")),
        ("test/ece@temperature", ("ece", "temperature")),
        ("test/accuracy@pruned50", ("accuracy", "pruned50")),
        ("test/accuracy@fgsm0.1", ("accuracy", "fgsm0.1")),
        ("val/hits@10", ("hits@10", "raw")),
        ("val/ndcg@k", ("ndcg@k", "raw")),
    ],
)
def test_the_weights_of_a_metric(name, expected):
    assert split_weights(name) == expected


def test_losses_and_the_metric_of_the_sweep_must_be_finite():
    names = ("train/loss", "val/nll@ema", "val/f1", "val/auc", "train/grad_norm", "val/hits@10")
    assert [name for name in names if must_be_finite(name, "val/f1")] == ["train/loss", "val/nll@ema", "val/f1"]
