"""The resources of one run: CPUs, GPUs, custom resources and node labels."""

import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from search_spaces.recipe.part import Count, NonNegative, Part, Positive
from search_spaces.values import show

_RESOURCE = re.compile(r"[A-Za-z_][\w.:/-]{0,62}", re.ASCII)
_WORD = r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?"
_LABEL = re.compile(rf"({_WORD}/)?{_WORD}", re.ASCII)
_SELECTOR = re.compile(rf"!?({_WORD}|in\({_WORD}(,{_WORD})*\))", re.ASCII)


def _check_resource(name: str) -> str:
    if not _RESOURCE.fullmatch(name) or name in ("CPU", "GPU", "memory", "object_store_memory"):
        raise ValueError(
            f"must be the name of a custom resource, found {show(name)}; cpu and gpu have fields of their own"
        )
    return name


def _check_label(name: str) -> str:
    if not _LABEL.fullmatch(name):
        raise ValueError(f"must be the name of a label, such as rack or ray.io/accelerator-type, found {show(name)}")
    return name


def _check_selector(text: str) -> str:
    if not _SELECTOR.fullmatch(text):
        raise ValueError(f"must be a label value, !value, in(a,b) or !in(a,b), found {show(text)}")
    return text


class Resources(Part):
    """The resources of one run.

    Attributes:
        cpu: Number of CPU cores.
        gpu: Number of GPUs; a fraction shares one.
        processes: Number of processes that train the run together, each on its own GPU or all on CPUs. By default, one
            per whole GPU. A custom training loop that uses several GPUs itself needs 1.
        custom: Name -> amount of a custom resource that nodes of the cluster were started with.
        labels: Label -> what a node must have: a value, `!value`, `in(a,b)` or `!in(a,b)`.
    """

    cpu: Positive = 1.0
    gpu: NonNegative = 0.0
    processes: Count = 1
    custom: Mapping[Annotated[str, AfterValidator(_check_resource)], Positive] = {}
    labels: Mapping[Annotated[str, AfterValidator(_check_label)], Annotated[str, AfterValidator(_check_selector)]] = {}

    @model_validator(mode="before")
    @classmethod
    def _one_process_per_card(cls, written: object) -> object:
        if not isinstance(written, Mapping) or "processes" in written:
            return written
        gpu = written.get("gpu")
        cards = int(gpu) if isinstance(gpu, int | float) and gpu > 1 and gpu % 1 == 0 else 1
        return {**written, "processes": cards}

    @model_validator(mode="after")
    def _one_device_each(self) -> Self:
        if self.gpu > 1 and self.gpu % 1:
            raise ValueError(f"gpu must be a fraction of one GPU or a whole number of GPUs, found {self.gpu:g}")
        if self.processes == 1:
            return self
        found = f"{f'gpu {self.gpu:g}' if self.gpu else f'cpu {self.cpu:g}'} and processes {self.processes}"
        if self.gpu and self.gpu != self.processes:
            raise ValueError(f"each process needs its own GPU, found {found}; remove processes")
        if not self.gpu and self.cpu < self.processes:
            raise ValueError(f"each process needs at least one CPU, found {found}; increase cpu")
        return self
