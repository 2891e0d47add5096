import numpy as np
import pytest
import torch
from torch.nn import functional

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Regularization
from trainers.loop.augmentation import Mixed, Mixing, check_mixing, mixed_loss
from trainers.loop.training import Training
from trainers.objective import Objective
from trainers.tasks import Split

BATCH = Split(torch.arange(8.0).repeat_interleave(6).reshape(8, 6), torch.arange(8) % 3)


def draws(regularization: Regularization, batch: Split, epochs: int = 200) -> list[Mixed]:
    return [Mixing(regularization, 0, epoch)(batch) for epoch in range(epochs)]


def test_without_mixing_a_batch_stays_itself():
    mixed = Mixing(Regularization(), 0, 0)(BATCH)
    assert mixed.inputs is BATCH.inputs
    assert mixed.share == 1.0


def test_mixup_is_the_weighted_mean_of_partners():
    for mixed in draws(Regularization(mixup=0.4), BATCH, 20):
        own = torch.arange(8.0)
        partner = (mixed.inputs[:, 0] - mixed.share * own) / (1 - mixed.share)
        if 1 - mixed.share > 1e-2:
            assert torch.equal(partner.round().sort().values, own)
            assert torch.equal(mixed.others, partner.round().long() % 3)
        torch.testing.assert_close(mixed.inputs, mixed.inputs[:, :1].expand(8, 6))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_beta_distributed(alpha):
    shares = np.array([mixed.share for mixed in draws(Regularization(mixup=alpha), BATCH, 2000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


@pytest.mark.parametrize("shape", [(24,), (2, 24), (3, 12, 10)])
def test_cutmix_pastes_one_box_and_counts_it(shape):
    owners = torch.arange(8.0).reshape(8, *([1] * len(shape))).expand(8, *shape).clone()
    batch = Split(owners, torch.arange(8))
    pasted = []
    for mixed in draws(Regularization(cutmix=1.0), batch):
        foreign = mixed.inputs != owners
        counted = foreign.flatten(1).double().mean(1)
        moved = mixed.targets != mixed.others
        assert counted[moved].numpy() == pytest.approx(1 - mixed.share)
        assert torch.equal(
            mixed.inputs[foreign], mixed.others.float().reshape(8, *[1] * len(shape)).expand_as(owners)[foreign]
        )
        where = foreign[moved][0].nonzero() if moved.any() else torch.zeros(0, len(shape))
        if len(where):
            sides = where.max(0).values - where.min(0).values + 1
            assert sides.prod() == len(where)  # a box
            if len(shape) > 1:
                assert sides[0] == shape[0]  # through every channel
        pasted.append(1 - mixed.share)
    assert 0.2 < np.mean(pasted) < 0.5  # less than half, because boxes are cut off at the border
    assert torch.equal(batch.inputs, owners)


def test_both_take_turns():
    batch = Split(torch.arange(8.0).reshape(8, 1, 1).expand(8, 2, 24).clone(), torch.arange(8))
    mixed = draws(Regularization(mixup=8.0, cutmix=8.0), batch)
    whole = [bool((one.inputs == one.inputs.round()).all()) for one in mixed]
    assert 60 < sum(whole) < 140


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_torchs_with_probabilities_as_targets(smoothing):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 3, generator=generator)
    targets, others = torch.randint(0, 3, (2, 8), generator=generator)
    for share in (0.3, 1.0):
        mixed = Mixed(logits, targets, others, share)
        soft = share * functional.one_hot(targets, 3) + (1 - share) * functional.one_hot(others, 3)
        expected = functional.cross_entropy(logits, soft.float(), reduction="sum", label_smoothing=smoothing)
        torch.testing.assert_close(mixed_loss(logits, mixed, Objective(classes=3), smoothing), expected)


def test_an_epoch_draws_the_same_again_and_another_epoch_does_not():
    mixing = Regularization(mixup=1.0)
    first, again, other = (Mixing(mixing, 3, epoch)(BATCH).share for epoch in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("regularization", [{"mixup": 0.2}, {"cutmix": 1.0}])
def test_ids_of_words_are_not_mixed(regularization):
    with pytest.raises(UsageError, match=r"needs .*found inputs int64 \(4, 9\); set it to 0"):
        check_mixing(Regularization(**regularization), torch.zeros(4, 9, dtype=torch.int64))


def test_one_example_alone_is_mixed_with_itself():
    mixed = Mixing(Regularization(mixup=1.0), 0, 0)(BATCH.take(torch.tensor([2])))
    torch.testing.assert_close(mixed.inputs, BATCH.inputs[2:3])


def test_a_training_with_mixup_still_counts_every_example(blobs):
    from search_spaces.recipe.recipe import Budget, Recipe

    recipe = Recipe(regularization=Regularization(mixup=1.0), budget=Budget(epochs=1, batch_size=16))
    loss = Training(recipe, blobs, 0).run_epoch().metrics["train/loss"]
    assert 0.5 < loss < 1.6
