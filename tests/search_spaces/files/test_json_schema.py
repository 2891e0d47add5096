import jsonschema
import pytest

from search_spaces import shipped_spaces
from search_spaces.files.json_schema import json_schema
from search_spaces.files.lookup import locate, read_text
from search_spaces.files.nodes import plain
from search_spaces.files.yaml_parser import parse_yaml
from search_spaces.search.distributions import DISTRIBUTION_NAMES

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

GOOD = """
kind: sweep
task: {images: {root: /data, val: 500}}
metric: {name: val/accuracy, goal: maximize}
recipe:
  optimizer: {kind: sgd, lr: 1, momentum: 0.8}
  switch: {at: 0.5, to: {kind: adamw, lr: 1e-3}}
  averaging: {kind: ema, decay: 0.99}
  schedule: {kind: step, milestones: [0.5, 0.75]}
  custom: {depth: 3, name: x, flag: true, rate: 0.5}
search:
  optimizer.lr: {loguniform: [1e-5, 1e-1]}
  switch.to.lr: {uniform: [0, 1]}
  custom.depth: {randint: [1, 4]}
  custom.rate: {quniform: [0, 1, 0.25]}
  regularization.clip_norm: {choice: [null, 1.0]}
  averaging.decay: {normal: [0.9, 0.01]}
  budget.batch_size: {constant: 64}
runs: 4
"""


def tree(text: str):
    return plain(parse_yaml(text, "x.yaml"))


def problems(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(tree(text))]


def test_it_is_a_schema_of_the_draft_that_it_names() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", shipped_spaces())
def test_every_shipped_space_is_valid(name: str) -> None:
    assert problems(read_text(locate(name))) == []


def test_every_part_of_the_language_is_known() -> None:
    assert problems(GOOD) == []
    assert (
        problems("kind: sweep\nextends: finetune\nrecipe: {optimizer: {lr: 1e-4}}\nsearch: {optimizer.lr: null}") == []
    )
    assert set(SCHEMA["$defs"]["Distribution"]["properties"]) == {*DISTRIBUTION_NAMES, "prior", "when"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: sweep", "kind: sweeep"),
        ("runs: 4", "runs: 0"),
        ("runs: 4", "runs: many"),
        ("runs: 4", "runs: 4\nconstraints: optimizer.lr < 1"),
        ("runs: 4", "runs: 4\nstarts: [1]"),
        ("runs: 4", "runz: 4"),
        ("\nruns: 4", ""),
        ("goal: maximize", "goal: up"),
        (", goal: maximize", ""),
        ("momentum: 0.8", "momentun: 0.8"),
        ("momentum: 0.8", "momentum: 1.8"),
        ("kind: sgd", "kind: adamw"),  # which has no momentum
        ("kind: sgd", "kind: sgdd"),
        ("recipe:\n", "recipe:\n  regularisation: {dropout: 0.1}\n"),
        ("loguniform: [1e-5, 1e-1]", "loguniform: [1e-5]"),
        ("loguniform: [1e-5, 1e-1]", "loguniform: [0, 1e-1]"),
        ("loguniform: [1e-5, 1e-1]", "logunifrom: [1e-5, 1e-1]"),
        ("loguniform: [1e-5, 1e-1]", "loguniform: [1e-5, 1e-1], uniform: [0, 1]"),
        ("randint: [1, 4]", "randint: [1.5, 4]"),
        ("optimizer.lr:", "optimizer.learning_rate:"),
        ("optimizer.lr:", "optimizer.kind:"),
        ("kind: ema", "kind: emma"),
        ("images: {root: /data, val: 500}", "images: {root: /data}, digits: {}"),
    ],
)
def test_an_invalid_file_is_rejected(old: str, new: str) -> None:
    assert old in GOOD
    assert problems(GOOD.replace(old, new))


def test_fields_carry_the_texts_of_their_docstrings() -> None:
    fields = SCHEMA["$defs"]["AdamW"]["properties"]
    assert SCHEMA["$defs"]["Cosine"]["properties"]["warmup"]["description"] == "Fraction of all optimizer steps."
    assert fields["weight_decay"]["description"] == "Strength of the decoupled decay."
    assert fields["weight_decay"]["default"] == 0.01
    assert "including run 0" in SCHEMA["properties"]["runs"]["description"]
