# zhisuan: `make help` lists what there is. Each target sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= 2.13.0
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
export PIP_DISABLE_PIP_VERSION_CHECK := 1
DATA ?=
QUICKSTART ?=

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-fast check format bench bench-placement docs lock torch install dev clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo "  variables    PYTHON=$(PYTHON)  VENV=$(VENV)  TORCH=$(TORCH) (PyTorch version)  QUICKSTART='--keep …'"

quickstart: install torch ## one real order, all the way through, on this machine
	@sh scripts/system-packages.sh bubblewrap || true
	@$(BIN)/zhisuan quickstart $(QUICKSTART)

test: dev torch ## all tests: unit, integration, browser (what CI runs)
	@sh scripts/system-packages.sh bubblewrap chromium fonts-noto-cjk
	@sh scripts/ray_env.sh $(BIN)/python
	@$(MAKE) --no-print-directory check
	$(BIN)/pytest -q -n 2 --dist worksteal

test-fast: dev ## tests that take no more than seconds each
	$(BIN)/pytest -q -n 2 --dist worksteal -m "not slow"

check: dev ## style, types, import contract, generated docs
	$(BIN)/ruff check src tests bench examples scripts
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m scripts.generate_docs --check

format: dev ## format the code
	$(BIN)/ruff check -q --fix src tests bench examples scripts
	$(BIN)/ruff format -q src tests bench examples scripts

bench: dev torch ## measure; writes build/bench.json (docs/benchmarks.md says how to read it)
	@sh scripts/system-packages.sh bubblewrap || true
	@sh scripts/ray_env.sh $(BIN)/python
	$(BIN)/python -m bench

bench-placement: dev ## compare placement with published schedulers and bounds (docs/benchmarks/placement.md)
	$(BIN)/python -m bench.placement

docs: dev ## generate the reference pages from the code
	$(BIN)/python -m scripts.generate_docs

lock: dev ## pin the dependencies anew, with hashes
	$(BIN)/uv pip compile -q --generate-hashes --no-header --no-annotate --universal --python-version 3.11 pyproject.toml -c requirements/constraints.in -o requirements/base.txt
	$(BIN)/uv pip compile -q --generate-hashes --no-header --no-annotate --universal --python-version 3.11 pyproject.toml --extra train --no-emit-package torch -c requirements/base.txt -o requirements/train.txt
	$(BIN)/uv pip compile -q --generate-hashes --no-header --no-annotate --universal --python-version 3.11 pyproject.toml --extra dev --extra train --no-emit-package torch -c requirements/base.txt -o requirements/dev.txt
	echo 'ray[default]>=2.60' | $(BIN)/uv pip compile -q --generate-hashes --no-header --no-annotate --universal --python-version 3.11 - -o requirements/ray.txt

install: $(STAMPS)/base ## the environment that runs the platform
dev: $(STAMPS)/dev ## the environment that tests it

$(BIN)/python:
	@echo "making the environment $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "zhisuan needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Choose another with: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)

$(STAMPS)/base: requirements/train.txt pyproject.toml | $(BIN)/python
	@echo "installing the platform's packages (about 190 MB)"
	@mkdir -p $(STAMPS)
	@$(BIN)/pip install --progress-bar on --quiet --require-hashes -r requirements/train.txt
	@$(BIN)/pip install --quiet --no-deps -e .
	@touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/base
	@echo "installing the packages for tests and checks (about 150 MB more)"
	@$(BIN)/pip install --progress-bar on --quiet --require-hashes -r requirements/dev.txt
	@touch $@

torch: $(STAMPS)/base ## PyTorch, only when missing (TORCH=version)
	@$(BIN)/python scripts/install_torch.py $(TORCH)

clean: ## remove what was built (not the data of any platform)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
