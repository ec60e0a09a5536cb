# Everything that a person does here, by one name each. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
MEMBERS := protos chassis services/alerts services/directory gateway
INSTALLED := .venv/installed
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Or uv would install into whichever environment is active.
export VIRTUAL_ENV := $(CURDIR)/.venv

.PHONY: help setup run test check fmt protos migration bench nightly lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(INSTALLED) ## install everything into .venv

$(INSTALLED): requirements.lock $(MEMBERS:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Siaga needs Python 3.11 or newer: set PYTHON")'
	@$(PYTHON) -m venv .venv || { echo "This Python has no venv: on Debian, apt-get install python3-venv"; exit 1; }
	@echo "Installing what requirements.lock names ..."
	@mkdir -p .build && sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .build/uv.txt
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r .build/uv.txt
	@$(BIN)/uv pip install -q --require-hashes --compile-bytecode -r requirements.lock
	@$(BIN)/uv pip install -q --no-deps --no-build-isolation $(MEMBERS:%=-e ./%)
	@touch $@

run: $(INSTALLED) ## run the whole platform on this machine
	@exec python deploy/local.py

test: check ## run every check and test of a pull request
	@python -m pytest -q -n 2 --dist worksteal -m "not alone"
	@python -m pytest -q -m alone

check: $(INSTALLED) ## lint, types, contract: fast
	@ruff check -q .
	@ruff format -q --check .
	@lint-imports --config pyproject.toml > .build/imports.txt || { cat .build/imports.txt; exit 1; }
	@python tests/lints.py
	@buf lint protos/gen/siaga/contract.binpb --config protos/buf.yaml
	@python protos/generate.py --check
	@basedpyright --warnings > .build/types.txt || { cat .build/types.txt; exit 1; }
	@echo "check: all good"

fmt: $(INSTALLED) ## format the code
	@ruff check -q --fix-only . ; ruff format -q .

protos: $(INSTALLED) ## generate the code of the contract anew
	@python protos/generate.py

migration: $(INSTALLED) ## write a migration: make migration SERVICE=alerts MESSAGE="what changes"
	@export SIAGA_DATA=$$(mktemp -d) && python -m $(SERVICE) migrate && python -m $(SERVICE) revision "$(MESSAGE)"

bench: $(INSTALLED) ## measure the write path, the gateway, the delivery, the directory, a year of history and a rush of SOS (PARTS="rush" for one of them); writes .build/bench.json
	@python tests/load/bench.py $(PARTS)

nightly: $(INSTALLED) ## the long versions of the fault and load tests
	@SIAGA_NIGHTLY=1 python -m pytest -q -s chassis services/alerts/tests/test_dispatch_races.py tests/contract tests/recovery

lock: $(INSTALLED) ## resolve the dependencies anew into requirements.lock
	@uv lock -q --upgrade && uv export -q --all-packages --all-groups --no-emit-workspace --no-header --no-annotate --format requirements-txt > requirements.lock

clean: ## remove what was built and installed; .data stays
	@rm -rf .venv .build .pytest_cache .ruff_cache
