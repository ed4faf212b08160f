# Shiftwork. `make help` lists what there is; `make demo` needs nothing but Python 3.11 and make.
.DEFAULT_GOAL := help
.PHONY: help demo demo-wide demo-workers demo-workspaces dashboard up down test lint lint-types lint-template format \
	docs deploy verify bench simulate fuzz mutants faults audit sbom lock

PYTHON ?= python3
SEEDS ?= 10000
FROM ?= 0
EXAMPLES ?= 100
SEED ?= 0
ENV ?= dev
BIN := .venv/bin
READY := .venv/.ready
SAM := $(BIN)/python -m shiftwork.local sam

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-17s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: up ## Start the local stack and index this project's files, live
	@$(BIN)/shiftwork demo

demo-wide: up ## Load a file of 100,000 rows, a job for each, the bad ones tolerated and listed
	@$(BIN)/shiftwork demo-wide

demo-workers: up ## Kill one of two workers at work; see the request complete
	@$(BIN)/shiftwork demo-workers

# The demo itself serves demo-lab, which switches one of the workspaces.
demo-workspaces: export SHIFTWORK_SERVICES ?= {"demo-lab": "http://127.0.0.1:4598"}
demo-workspaces: up ## Switch four workspaces on and off, one at the third attempt
	@$(BIN)/shiftwork demo-workspaces

dashboard: $(READY) ## Draw the dashboard with the local stack's metrics
	@$(BIN)/python -m tools.draw_dashboard_picture --output $${SHIFTWORK_HOME:-.shiftwork}/dashboard.png

up: $(READY) ## Start the local stack and deploy to it, at SHIFTWORK_PORT
	@$(BIN)/shiftwork up

down: $(READY) ## Stop the local stack
	@$(BIN)/shiftwork down

test: $(READY) ## Run all tests, the integration tests on a stack of their own
	$(BIN)/python -m pytest -n auto tests/unit tests/contract
	SHIFTWORK_LEASE_S=5 SHIFTWORK_REBUILD_MARGIN_S=5 $(BIN)/shiftwork exec -- \
		$(BIN)/python -m pytest -n 4 tests/integration

lint: $(READY) ## Check the code without running it
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python tools/check_sizes.py
	@$(MAKE) --no-print-directory lint-types
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory lint-template

lint-types: $(READY)
	$(BIN)/mypy layers/core/shiftwork_core sdk/shiftwork sdk/shiftwork_platform requirements tests $(wildcard tools benchmarks)
	@set -e; for function in functions/*/; do \
		echo "mypy $$function"; MYPYPATH=$$function $(BIN)/mypy $$function; done

lint-template: $(READY)
	$(BIN)/cfn-lint template.yaml
	$(SAM) validate --lint

format: $(READY) ## Format the code, and fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(READY) ## Build the documentation as a site with search
	@$(BIN)/python -m tools.build_docs

deploy: $(READY) ## Build and deploy to AWS: make deploy ENV=dev
	@$(BIN)/shiftwork deploy $(ENV)

verify: $(READY) ## Try a throw-away stack on AWS, and remove it: make verify ENV=dev
	@$(BIN)/shiftwork verify $(ENV)

bench: $(READY) ## Measure the figures of docs/reference/figures.md
	$(BIN)/python -m benchmarks

simulate: $(READY) ## Simulate random failures: make simulate SEEDS=10000 FROM=0
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM)

fuzz: $(READY) ## Call every route with random input: make fuzz EXAMPLES=100 SEED=0
	SHIFTWORK_FUZZ_EXAMPLES=$(EXAMPLES) SHIFTWORK_FUZZ_SEED=$(SEED) \
		$(BIN)/python -m pytest -n auto tests/unit/functions/http/test_exploring.py

mutants: $(READY) ## Weaken each guard in turn; a test must turn red each time
	$(BIN)/python -m tests.mutants

faults: $(READY) ## Break AWS calls and kill processes of a running stack
	SHIFTWORK_LEASE_S=5 $(BIN)/shiftwork exec -- $(BIN)/python -m tests.faults

audit: $(READY) ## Look for known vulnerabilities in every locked package
	@$(BIN)/python -m tools.supply_chain audit

sbom: $(READY) ## Draw the bills of materials of what is deployed, as CycloneDX
	@$(BIN)/python -m tools.supply_chain sbom

LOCKS := layers/dependencies/requirements.txt layers/edge/requirements.txt \
	layers/schedules/requirements.txt \
	requirements/audit.txt requirements/bootstrap.txt requirements/dev.txt \
	requirements/docs.txt requirements/emulator.txt requirements/node.txt \
	requirements/peers.txt requirements/sam.txt
lock: $(READY) ## Pin every dependency at its newest version
	@set -e; for lock in $(LOCKS); do $(BIN)/uv pip compile -q --upgrade --universal \
		--python-version 3.11 --no-header --no-annotate --no-emit-index-url \
		--no-emit-find-links --generate-hashes $${lock%.txt}.in -o $$lock; done

# Every other command needs this first. A second run takes no time.
$(READY): requirements/bootstrap.py requirements/bootstrap.txt requirements/dev.txt sdk/pyproject.toml
	@echo "Preparing .venv, once."
	@$(PYTHON) requirements/bootstrap.py
	@touch $@
