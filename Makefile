# Every target sets up what it needs under .venv and works as any user. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JSON_OPTION = $(if $(filter 1,$(JSON)),--json,)

.PHONY: help setup run demo test test-full check bench lock clean

help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## install everything, locked and hashed, under .venv

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . >&2
	@touch $@

run: setup ## serve with simulated agencies under ./var, play one journey, stay up
	@exec $(BIN)/nsw demo --stay

demo: setup ## play the journey once, observed from outside; JSON=1 for one JSON document
	@$(BIN)/nsw demo $(JSON_OPTION)

test: setup ## the tests, at most 5 minutes
	@$(BIN)/python -m pytest -n auto -m "not slow"

test-full: setup ## the longer suites too
	@$(BIN)/python -m pytest -n auto

check: setup ## ruff, mypy --strict, import-linter, bandit
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml gateway adapters

bench: setup ## the figures, as ratios in one run
	@for name in intake end-to-end; do $(BIN)/nsw bench $$name --json || exit 1; done

lock: setup ## choose the newest versions that fit and write requirements.lock
	@$(BIN)/python -m pip install --quiet uv >&2
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group dev --no-emit-index-url --no-header --no-annotate --upgrade pyproject.toml --output-file requirements.lock

clean: ## remove what make made, except ./var
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build *.egg-info
