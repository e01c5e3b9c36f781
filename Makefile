# The same commands on a laptop, in CI and in the documentation.
.DEFAULT_GOAL := help
VENV := .venv
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
# One process per core with one thread each; more threads than cores wait for one another. A process
# that dies ends the run at once: pytest-xdist may wait for ever for the tests of a second one.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile --max-worker-restart 0
STAMP := $(VENV)/.ready
RUNNABLE := $(VENV)/.runnable

.PHONY: help setup demo test test-all test-lowest parity figures docs lint bench clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode $(RESOLUTION) --python $(BIN)/python -e '.[pretrained,dev]'
	touch $@

setup: $(STAMP)  ## Make .venv with everything the other targets need

# What the demonstration needs, which is a part of what `setup` installs.
$(RUNNABLE): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[pretrained,onnx]'
	touch $@

# Threads wait for each other many times a step: a short while awake, then they give their core away.
demo: export GOMP_SPINCOUNT = 100000
demo:  ## Train, evaluate, draw and export a network with an enhancement on generated scenes
	@echo "About 3 and a half minutes on two idle cores; the first of them sets up $(VENV)"
	@test -f $(STAMP) || $(MAKE) --no-print-directory $(RUNNABLE)
	$(BIN)/segloom train demo --train.out runs/demo --train.overwrite True
	$(BIN)/segloom eval runs/demo
	$(BIN)/segloom export runs/demo --out runs/demo/export --max-images 8
	@echo "Open runs/demo/eval/test/report.html"
	@echo "Serve it: $(BIN)/segloom serve runs/demo/export"

test: setup  ## Run the tests (under 15 minutes on 2 cores)
	$(PYTEST) -m "not slow"

test-all: setup  ## Run every test, the slow ones too
	$(PYTEST)

test-lowest:  ## Run the tests with the lowest versions that pyproject.toml allows, in .venv-lowest
	$(MAKE) test VENV=.venv-lowest RESOLUTION="--resolution lowest-direct"

parity: setup  ## Compare with the original programs' recorded results; writes docs/parity.md
	$(PYTEST) --parity-table docs/parity.md

figures: setup  ## Draw the figures of the documentation from built networks and generated scenes
	$(BIN)/python docs/figures/draw.py

docs: setup  ## Build the documentation into site/, without a warning
	$(BIN)/zensical build --strict --clean

lint: setup  ## Style, docstrings, types and the layer rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## Measure every speed claim; writes benchmarks/results
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

clean:  ## Remove caches and the environment
	rm -rf $(VENV) .venv-lowest site .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
