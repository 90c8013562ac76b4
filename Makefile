# The only interface to this project: `make help` lists it, CI calls the same targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STATE ?= $(or $(GATEHOUSE_STATE_DIR),.gatehouse)
PROTOS := $(sort $(shell find protos/gatehouse -name '*.proto'))
STUBS := $(VENV)/.stubs
RUNTIME := $(VENV)/.local
DEVELOP := $(VENV)/.dev
CHECKED := libs services deploy tests
# Where the packages are; asked only when a recipe needs it.
SITE = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: run
run: $(RUNTIME) $(STUBS) ## Start everything on this machine, make a first call, serve until Ctrl-C (ONCE=1: stop after the call)
	@$(BIN)/python -m deploy.local --state-dir $(STATE) $(if $(filter 1,$(ONCE)),--once)

.PHONY: test
test: $(DEVELOP) $(STUBS) ## Run the tests
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

.PHONY: test-peers
test-peers: $(DEVELOP) $(STUBS) ## Run the tests against a provider from npm (needs Node)
	@$(BIN)/python -m pytest -q -m peers tests/contract/peers

.PHONY: test-live
test-live: $(DEVELOP) $(STUBS) ## Try a real endpoint: GATEHOUSE_LIVE_TYPE, _URL, _KEY, _MODEL, … (services/router/providers/README.md)
	@$(BIN)/python -m pytest -q --tb=short -r fE -m live tests/live

.PHONY: features
features: $(DEVELOP) $(STUBS) ## Find out what every dialect carries and write the table of services/router/providers/README.md
	@$(BIN)/python -m tests.contract.dialects.feature_table --write

FUZZ_RUNS ?= 500000
.PHONY: fuzz
fuzz: $(DEVELOP) $(STUBS) ## Feed every decoder mutated answers (FUZZ_RUNS=500000 each); an input that breaks one is kept in .gatehouse/fuzz
	@mkdir -p .gatehouse/fuzz && cd .gatehouse/fuzz && for variant in $$(PYTHONPATH=$(CURDIR) $(CURDIR)/$(BIN)/python -m tests.fuzz.decoders --list); do \
	  echo "== $$variant"; \
	  PYTHONPATH=$(CURDIR) $(CURDIR)/$(BIN)/python -m tests.fuzz.decoders $$variant --runs $(FUZZ_RUNS) 2>&1 | grep -E "^(Done|==|Traceback|[A-Za-z]*Error|Test unit)" ; \
	  [ $${PIPESTATUS[0]} -eq 0 ]; done

.PHONY: lint
lint: $(DEVELOP) $(STUBS) lint-protos ## Check style, types, import rules and protos
	@$(BIN)/ruff format --check $(CHECKED)
	@$(BIN)/ruff check $(CHECKED)
	@$(BIN)/mypy $(CHECKED)
	@$(BIN)/lint-imports

.PHONY: lint-protos
lint-protos: $(DEVELOP)
	@rm -rf $(VENV)/buf && cp -r protos $(VENV)/buf
	@mkdir $(VENV)/buf/google && cp -r $(SITE)/google/rpc $(SITE)/google/type $(VENV)/buf/google
	@$(BIN)/buf lint $(VENV)/buf

.PHONY: format
format: $(DEVELOP) ## Format the code
	@$(BIN)/ruff format $(CHECKED)
	@$(BIN)/ruff check --fix $(CHECKED)

.PHONY: bench
bench: $(DEVELOP) $(STUBS) ## Measure the bare relay and the whole stack in one run; figures go to .gatehouse/bench.json
	@$(BIN)/python -m tests.bench --output $(STATE)/bench.json

.PHONY: generate
generate: $(STUBS) ## Generate the Python stubs from protos/ into libs/client

.PHONY: lock
lock: $(DEVELOP) ## Pin the newest versions of requirements/*.in with hashes
	@for set in dev local runtime; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    $(if $(UPGRADE),--upgrade) $$([[ $$set == dev ]] || echo "-c requirements/dev.txt") \
	    requirements/$$set.in -o requirements/$$set.txt; \
	done

.PHONY: clean-state
clean-state: ## Remove what `make run` keeps: keys, ledger, certificates
	@if [ -e $(STATE)/launcher.lock ] && ! flock -n $(STATE)/launcher.lock true; then \
	  echo "Gatehouse is running on $(STATE): stop it first (Ctrl-C in its terminal)" >&2; exit 1; fi
	@rm -rf $(STATE) && echo "removed $(STATE)"

.PHONY: clean
clean: ## Remove the environment, the stubs and all caches (not the state)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache libs/client/gatehouse/*/v1
	@find libs services deploy tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment -----------------------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else f"Gatehouse needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. Name another one: make run PYTHON=python3.12")'
	@echo "making the environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: on Debian and Ubuntu install python3-venv" >&2; exit 1; }

define install
	@$(BIN)/python -m pip --version >/dev/null
	@echo "installing requirements/$(1).txt (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(1).txt || { \
	  echo "could not install requirements/$(1).txt: is a Python package index reachable? (pip reads PIP_INDEX_URL and pip.conf)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e libs/client
endef

$(RUNTIME): requirements/local.txt libs/client/pyproject.toml | $(BIN)/python
	$(call install,local)
	@touch $@

$(DEVELOP): requirements/dev.txt libs/client/pyproject.toml | $(BIN)/python
	$(call install,dev)
	@touch $(RUNTIME) $@

$(STUBS): $(PROTOS) Makefile | $(RUNTIME)
	@rm -rf libs/client/gatehouse/*/v1
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -I protos \
	  -I $(SITE) \
	  --python_out=libs/client --mypy_out=quiet:libs/client --grpc_python_out=libs/client --mypy_grpc_out=quiet:libs/client $(PROTOS)
	@touch $@
