# Every target sets up what it needs under .venv and works as any user, without root. `make help` lists them.
# A target ends with 0 only if what it made is good. With JSON=1 standard output is one JSON document, everything else goes to standard error.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
JSON_OPTION = $(if $(filter 1,$(JSON)),--json,)
LOCK = compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml
BENCHMARKS := intake end-to-end attachments trust ledger
COMMA := ,
# the documents of several benchmarks become one, an array
AS_ONE = $(if $(and $(JSON_OPTION),$(word 2,$(BENCHMARKS))),| paste -sd '$(COMMA)' - | sed 's/.*/[&]/')
RUNS ?= 100
ROUNDS ?= 10
SEED ?= 1
STEPS ?= 200000
STORE ?= memory

.PHONY: help setup run demo test test-full simulate faults failover fuzz check bench docs wheel wheel-check lock clean

help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## install everything, locked and hashed, under .venv

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, with its venv module; set PYTHON=" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) >&2
	@$(PIP) install --require-hashes --requirement requirements.lock >&2
	@$(PIP) install --no-deps --no-build-isolation --editable . >&2
	@touch $@

run: setup ## serve with simulated agencies under ./var, play one journey, stay up until Ctrl-C
	@exec $(BIN)/nsw demo --stay

demo: setup ## play the journey once, observed from outside; JSON=1 for one JSON document
	@$(BIN)/nsw demo $(JSON_OPTION)

test: setup ## the tests, at most 5 minutes
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow"

test-full: setup ## the longer suites, which make test leaves out
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m slow

simulate: setup ## the whole flow under faults, in an order drawn from SEED, for STEPS, over STORE=memory or sqlite; the last line is JSON
	@$(BIN)/python -m tests.simulation $(SEED) $(STEPS) $(STORE)

faults: setup ## RUNS kills of a gateway under load at random moments, on both databases; the last line is JSON
	@$(BIN)/python -m tests.faults --runs $(RUNS)

failover: setup ## two gateways under load: servers and gateways killed, restarted, cut apart, each ROUNDS times; the last line is JSON
	@$(BIN)/python -m tests.failover --rounds $(ROUNDS)

fuzz: setup ## changed signed documents of every profile, ROUNDS of each; MINUTES=120 goes on; the last line is JSON
	@$(BIN)/python -m tests.fuzz --rounds $(if $(filter command line,$(origin ROUNDS)),$(ROUNDS),10000) --minutes $(or $(MINUTES),0)

check: setup ## ruff, mypy --strict, import-linter, bandit
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@# ruff's S rules are bandit's too and judge low findings, each with its reason in place
	@$(BIN)/bandit --quiet --recursive --severity-level medium --configfile pyproject.toml gateway adapters

bench: setup ## the figures, as ratios in one run; BENCHMARKS=intake for one of them, JSON=1 for one JSON document
	@{ code=0; for name in $(BENCHMARKS); do $(BIN)/nsw bench $$name $(JSON_OPTION) || code=$$?; done; exit $$code; } $(AS_ONE)

docs: setup ## write the generated pages, and the examples into the pages that show them
	@$(BIN)/python docs/generate.py

wheel: setup ## build the wheel into dist/
	@rm -f dist/*.whl && $(BIN)/python -m hatchling build -t wheel >&2

wheel-check: wheel ## install the wheel and its lock in a new place, and use it from another folder
	@deploy/check-wheel

lock: setup ## choose the newest versions that fit, for development and for deploy/
	@test -x $(VENV)/uv/bin/uv || { $(PYTHON) -m venv $(VENV)/uv && $(VENV)/uv/bin/python -m pip install --quiet --disable-pip-version-check uv; } >&2
	@$(VENV)/uv/bin/uv pip $(LOCK) --group dev --upgrade --output-file requirements.lock
	@$(VENV)/uv/bin/uv pip $(LOCK) --constraints requirements.lock --upgrade --output-file deploy/requirements.lock

clean: ## remove what make made, except ./var
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build *.egg-info
