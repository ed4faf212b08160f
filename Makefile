# Shiftwork. `make help` lists what there is; `make demo` needs nothing but Python 3.11 and make.
.DEFAULT_GOAL := help
.PHONY: help demo up down test lint format deploy bench lock

PYTHON ?= python3
ENV ?= dev
BIN := .venv/bin
READY := .venv/.ready
SAM := $(BIN)/python -m shiftwork.local sam

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: up ## Start the local stack, then index this project's files on it, live
	@$(BIN)/shiftwork demo

up: $(READY) ## Start the local stack and deploy to it (SHIFTWORK_PORT picks the port)
	@$(BIN)/shiftwork up

down: $(READY) ## Stop the local stack
	@$(BIN)/shiftwork down

test: $(READY) ## Unit and contract tests, then integration tests on a stack of their own
	$(BIN)/python -m pytest -n auto tests/unit tests/contract
	SHIFTWORK_LEASE_S=5 $(BIN)/shiftwork exec -- $(BIN)/python -m pytest -n 4 tests/integration

lint: $(READY) ## Every check that runs nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy layers/core/shiftwork_core sdk/shiftwork requirements tests $(wildcard tools benchmarks)
	@set -e; for function in functions/*/; do \
		echo "mypy $$function"; MYPYPATH=$$function $(BIN)/mypy $$function; done
	$(BIN)/lint-imports
	$(BIN)/cfn-lint template.yaml
	$(SAM) validate --lint

format: $(READY) ## Let ruff put the code in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

deploy: $(READY) ## Build and deploy to AWS: make deploy ENV=dev
	@# Bytecode is made by a Python of Lambda's version; without one, cold starts are slower.
	@$(BIN)/uv python find -q 3.13 >/dev/null 2>&1 || $(BIN)/uv python install -q 3.13 || true
	$(SAM) build --config-env $(ENV)
	$(SAM) deploy --config-env $(ENV)
	@$(BIN)/python -m shiftwork.local after-deploy shiftwork-$(ENV)

bench: $(READY) ## Measure the figures that design.md promises
	$(BIN)/python -m benchmarks

LOCKS := layers/dependencies/requirements.txt layers/edge/requirements.txt \
	requirements/dev.txt requirements/emulator.txt requirements/sam.txt
lock: $(READY) ## Pin every dependency anew, at its newest version
	@set -e; for lock in $(LOCKS); do $(BIN)/uv pip compile -q --upgrade --universal \
		--python-version 3.11 --no-header --no-annotate --no-emit-index-url \
		--no-emit-find-links $${lock%.txt}.in -o $$lock; done

# What every other command needs first. A second run takes no time.
$(READY): requirements/bootstrap.py requirements/bootstrap.txt requirements/dev.txt sdk/pyproject.toml
	@echo "Preparing .venv, once."
	@$(PYTHON) requirements/bootstrap.py
	@touch $@
