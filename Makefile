# `make train` and `make test` are the only set-up: each makes .venv from a bare python3 if it is
# missing or older than the files that say what belongs into it.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
GPU := .venv-gpu
# One more than there are cores: a test often waits for a process that it has started.
WORKERS = $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.PHONY: train test test-all soak soak-workers check-gpu docs notebook lint format clean

train: $(READY)  ## train Connect Four for 6 minutes, then measure and report; goes on if it is there
	$(BIN)/selfplay train --game connect_four --run-dir runs/make-train
	$(BIN)/selfplay evaluate runs/make-train --against perfect
	$(BIN)/selfplay runs runs/make-train

test: $(READY)  ## the tests that a change must pass: some 10 minutes on 2 cores
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "not slow"

test-all: $(READY)  ## all tests, the slow ones too, on programs compiled as users have them
	JAX_DISABLE_MOST_OPTIMIZATIONS=false $(BIN)/pytest -n $(WORKERS) --dist loadfile

soak: $(READY)  ## kill a tiny run 200 times at random moments: it must end as if it had not been
	$(BIN)/python -m tests.soak --kills 200

soak-workers: $(READY)  ## kill 50 workers and 10 learners of a tiny run: no game is twice, none half
	$(BIN)/python -m tests.soak_workers

docs: $(READY)  ## the pages of docs/ in build/docs, the notebook run; a dead link is an error
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going \
	  --fresh-env --write-all docs build/docs

notebook: $(READY)  ## docs/notebook.ipynb, run anew, with its pictures
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	mkdir -p build && cp docs/notebook.ipynb build/
	JUPYTER_PREFER_ENV_PATH=1 JUPYTER_PATH= $(BIN)/jupyter-execute --inplace build/notebook.ipynb
	cp build/notebook.ipynb docs/

check-gpu: $(GPU)/.ready  ## what the compiler for an H100, which need not be there, makes of us
	$(GPU)/bin/python -m scripts.developer.check_gpu

lint: $(READY)  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and caches; runs stay
	rm -rf .venv $(GPU) .mypy_cache .pytest_cache .ruff_cache build *.egg-info

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "selfplay needs Python 3.11 or newer; name one with PYTHON=..." >&2; exit 1; }
	@echo "installing into .venv: a minute or more"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

# Gigabytes of NVIDIA's libraries, so apart from what the tests need.
$(GPU)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(GPU)
	$(GPU)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[cuda]'
	@touch $(GPU)/.ready
