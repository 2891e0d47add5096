PYTHON ?= python3
BIN    := .venv/bin
SPACE    ?= finetune
ABLATION ?= wd_exclusion
NAME     ?= $(SPACE)
ARGS   ?=
WORKERS  ?= 2
# The fast tests run in WORKERS processes; ARGS="-n 0 --pdb" runs them in one, with a debugger.
PARALLEL := -n $(WORKERS) --dist worksteal
# --prefer-binary and the constraints keep pip from building anything or from choosing newer versions than were tested.
INSTALL  := $(BIN)/pip install --quiet --disable-pip-version-check --prefer-binary --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help sweep ablate report status dashboard export check test test-slow test-gpu faults clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "make %-10s %s\n", $$1, $$2}'

sweep: .venv/installed  ## run or continue a sweep: make sweep SPACE=finetune [ARGS="--runs 64 --name longer"]
	@$(BIN)/sweeps run $(SPACE) $(ARGS)

ablate: .venv/installed  ## run or continue a paired ablation: make ablate ABLATION=wd_exclusion [ARGS="--pairs 20"]
	@$(BIN)/sweeps ablate $(ABLATION) $(ARGS)

report: .venv/installed  ## write a report from the database: make report NAME=wd_exclusion
	@$(BIN)/sweeps report $(NAME) $(ARGS)

status: .venv/installed  ## show the progress of every sweep
	@$(BIN)/sweeps status $(ARGS)

dashboard: .venv/installed  ## serve the Optuna dashboard on http://127.0.0.1:8080
	@$(BIN)/sweeps dashboard $(ARGS)

export: .venv/installed  ## export a sweep as CSV and YAML files: make export NAME=finetune
	@$(BIN)/sweeps export $(NAME) $(ARGS)

check: .venv/tested  ## run what CI runs first: format, lint, types, layers and tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_layers.py
	$(BIN)/pytest $(PARALLEL) --ignore tests/test_layers.py -m "not slow" $(ARGS)

test: .venv/tested  ## run the fast tests, in some 12 minutes on two cores
	$(BIN)/pytest $(PARALLEL) -m "not slow" $(ARGS)

# pytest exits with 5 when ARGS select no test of one half.
test-slow: .venv/tested  ## run the tests that start Ray, kill processes or open a browser
	$(BIN)/pytest $(PARALLEL) -m "slow and parallel" $(ARGS) || [ $$? -eq 5 ]
	$(BIN)/pytest -m "slow and not parallel" $(ARGS) || [ $$? -eq 5 ]

# Without the environment above: a machine with a GPU needs torch and a few small packages, but no Ray, Optuna or pyarrow.
test-gpu:  ## run the tests that need a GPU, with the PYTHON that has torch: make test-gpu PYTHON=python3
	@$(PYTHON) -c 'import torch' || { echo "torch is missing: make test-gpu PYTHON=PATH"; exit 1; }
	$(PYTHON) -m pip install --quiet --prefer-binary filelock numpy psutil pydantic pytest pytest-timeout pytorch-optimizer ruamel.yaml scipy
	$(PYTHON) -m pytest tests/gpu -m gpu $(ARGS)

faults: .venv/tested  ## run the fault trials on real sweeps, for hours: make faults [ARGS="driver --quick"]
	$(BIN)/python tests/faults/run.py $(ARGS)

clean:  ## remove the environment and the tools' caches, but not the sweeps under runs/
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	@touch $@

# What the tests need on top: a sweep does not wait for it.
.venv/tested: .venv/installed
	$(INSTALL) --editable '.[dev]'
	@touch $@
