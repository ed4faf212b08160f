# Shiftwork. `make help` lists what there is; `make demo` needs nothing but Python 3.11 and make.
.DEFAULT_GOAL := help
.PHONY: help demo demo-workers demo-workspaces up down test lint format deploy bench simulate mutants faults lock

PYTHON ?= python3
SEEDS ?= 10000
FROM ?= 0
ENV ?= dev
BIN := .venv/bin
READY := .venv/.ready
SAM := $(BIN)/python -m shiftwork.local sam

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: up ## Start the local stack, then index this project's files on it, live
	@$(BIN)/shiftwork demo

# Dead workers are to be noticed while somebody watches: after 12 s, not after 90.
demo-workers: export SHIFTWORK_WORKER_OFFLINE_S ?= 12
demo-workers: up ## Start two workers on the local stack, kill one at work, see the request complete
	@$(BIN)/shiftwork demo-workers

# One of them is switched by a service that the demo itself is.
demo-workspaces: export SHIFTWORK_SERVICES ?= {"demo-lab": "http://127.0.0.1:4598"}
demo-workspaces: up ## Define four workspaces, see them go on and off, one of them at the third try
	@$(BIN)/shiftwork demo-workspaces

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

bench: $(READY) ## Measure the figures of docs/reference/figures.md
	$(BIN)/python -m benchmarks

simulate: $(READY) ## Run the engine through random failures: make simulate SEEDS=10000 FROM=0
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM)

mutants: $(READY) ## Weaken each guard of the engine in turn: each must turn a test red
	$(BIN)/python -m tests.mutants

faults: $(READY) ## Break the AWS calls of deployed functions, kill their processes, count outcomes
	SHIFTWORK_LEASE_S=5 $(BIN)/shiftwork exec -- $(BIN)/python -m tests.faults

LOCKS := layers/dependencies/requirements.txt layers/edge/requirements.txt \
	layers/schedules/requirements.txt \
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
