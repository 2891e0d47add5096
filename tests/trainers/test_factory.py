from search_spaces.recipe.recipe import Budget, Recipe
from trainers import factory
from trainers.loop.training import Training
from trainers.loop.user_loop import UserLoopTraining


def loop(config, seed, state=None):
    yield {"val/x": 1.0}


def test_a_task_and_a_loop_open_alike(monkeypatch, blobs):
    for target, kind in ((blobs, Training), (loop, UserLoopTraining)):
        monkeypatch.setattr(factory, "load_target", lambda reference, target=target: target)
        training = factory.open_training("x", Recipe(budget=Budget(epochs=1)), 0)
        assert isinstance(training, kind)
        assert (training.epoch, training.finished) == (0, False)
        assert training.run_epoch().epoch == 1
        assert training.finished
