"""Facts about a space besides its recipe: model family, whether it is pretrained, and searched fields."""

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.search.distributions import varies
from search_spaces.specs.builtin_tasks import BUILTIN_TASKS, Family
from search_spaces.specs.command_task import CommandTask
from search_spaces.specs.space import SpaceSpec
from search_spaces.specs.task_reference import read_reference

_FAMILIES: Mapping[str, Family] = {
    "logistic": "mlp",
    "mlp": "mlp",
    "cnn": "cnn",
    "gru": "rnn",
    "lstm": "rnn",
    "transformer": "transformer",
}


@dataclass(frozen=True)
class Context:
    """Facts about a space that a rule may use besides the recipe; None where a fact is unknown.

    Attributes:
        family: Family of the model.
        pretrained: Whether training starts from pretrained weights.
        new_head: Whether a pretrained model has an untrained output layer.
        varied: Searched fields that take more than one value.
        unwritten: Sections that the file leaves out, if the task may be a training loop, which may not read them.
    """

    family: Family | None
    pretrained: bool | None
    new_head: bool | None
    varied: frozenset[str]
    unwritten: frozenset[str] = frozenset()


def read_context(spec: SpaceSpec) -> Context:
    """Return the facts about a space."""
    facts = None if isinstance(spec.task, CommandTask) else BUILTIN_TASKS.get(read_reference(spec.task)[0])
    kind = spec.recipe.model.kind
    groups = spec.recipe.groups
    # Only pretrained layers are frozen, adapted or trained more slowly.
    fine_tunes = spec.recipe.model.lora_rank is not None or bool(groups.frozen) or groups.layer_decay < 1
    return Context(
        family=_FAMILIES[kind] if kind is not None else facts.family if facts else None,
        pretrained=True if fine_tunes else facts.pretrained if facts else None,
        new_head=facts.new_head if facts else None,
        varied=frozenset(field for field, values in spec.search.items() if varies(values)),
        unwritten=_unwritten(spec),
    )


def _unwritten(spec: SpaceSpec) -> frozenset[str]:
    """Return the sections that neither the recipe nor an alternative sets, unless the task is known to read them."""
    if not isinstance(spec.task, CommandTask):
        _, own, target = read_reference(spec.task)[0].partition(":")
        if not own or target[:1].isupper():  # a class is a task, which is trained with every section of the recipe
            return frozenset()
    return frozenset(type(spec.recipe).model_fields) - spec.recipe.model_fields_set - spec.one_of.keys()
