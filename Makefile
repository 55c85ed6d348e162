# Two commands do everything on a fresh machine with Python 3.11 or newer:
#   make serve    set up, and start the receiver with its data in ./data
#   make test     set up, and run the tests

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
PIP    := $(BIN)/python -m pip install --disable-pip-version-check -c config/constraints.txt

# The compiled decoder is built again when its sources change.
RUST := $(wildcard receiver/decode/compiled/src/*.rs) receiver/decode/compiled/Cargo.toml

# Node packages for the tests with the real JavaScript exporters, where there is npm.
NODE_FOLDERS := $(patsubst %/package.json,%,$(wildcard tests/interop/package.json tests/interop/*/package.json))
NODE_STAMPS  := $(if $(shell command -v npm),$(addsuffix /node_modules/.installed,$(NODE_FOLDERS)))

.DEFAULT_GOAL := help
.PHONY: help serve setup test faults soak check fix bench protos reference clean

help:  ## Show the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

serve: $(VENV)/.installed-serve  ## Set up and start the receiver (ARGS='--http-endpoint localhost:5318')
	$(BIN)/otlp-receiver serve --data-dir ./data $(ARGS)

setup: $(VENV)/.installed-dev $(NODE_STAMPS)  ## Set up for development

test: setup  ## Run the tests (ARGS='tests/unit -x')
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(VENV)/.installed-dev  ## Lint, types, import contracts, generated files, documentation
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate_protos.py --check
	$(BIN)/python scripts/generate_reference.py --check
	$(BIN)/python -m pytest -q tests/docs

fix: $(VENV)/.installed-dev  ## Repair what ruff can repair
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

faults: setup  ## Kill, cut and fill up real receivers; print what it cost (ARGS='--only kill --rounds 10')
	$(BIN)/python -m tests.faults $(ARGS)

soak: $(VENV)/.installed-dev  ## Churn and load for half an hour: does everything settle? (ARGS='--minutes 2')
	$(BIN)/python -m tests.faults.soak $(ARGS)

bench: $(VENV)/.installed-bench  ## Measure the receiver and this machine's limits (ARGS=--full: all, 40 minutes)
	$(BIN)/python -m tests.benchmarks.suite $(ARGS)

protos: $(VENV)/.installed-dev  ## Generate proto_gen/ anew
	$(BIN)/python scripts/generate_protos.py

reference: $(VENV)/.installed-dev  ## Generate config/receiver.yaml, docs/configuration.md and docs/cli.md anew
	$(BIN)/python scripts/generate_reference.py

clean:  ## Remove what the other targets made, but never ./data
	rm -rf $(VENV) build dist *.egg-info receiver/decode/compiled/target receiver/decode/compiled/*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf $(addsuffix /node_modules,$(NODE_FOLDERS))
	find receiver proto_gen tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than Python 3.11; choose another one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp is newer than what it was made from, so the second run installs nothing.
$(VENV)/.installed-serve: pyproject.toml config/constraints.txt $(RUST) | $(BIN)/python
	$(PIP) -e '.[embed,mcp]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml config/constraints.txt $(RUST) | $(BIN)/python
	$(PIP) -e '.[embed,mcp,dev]'
	@touch $(VENV)/.installed-serve $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(PIP) -e '.[bench]'
	@touch $@

%/node_modules/.installed: %/package.json %/package-lock.json
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@
