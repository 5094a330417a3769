# `make demo` shows the product, `make test` proves it; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# packages are installed as root
ROOT := $(if $(filter 0,$(shell id -u)),,sudo)

.DEFAULT_GOAL := help
.PHONY: help setup browser demo up test lint bench chaos screenshots lock

help:  ## list the targets
	@grep -hE '^[a-z]+: .*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: $(READY)  ## build the environment in .venv

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mintkeeper needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@echo "building $(VENV) from requirements.lock (about a minute)"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes --requirement requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## play the life of mint requests on a local stack, then leave it running
	$(BIN)/mintkeeper demo

up: setup  ## run the local stack in the foreground
	$(BIN)/mintkeeper up

browser:  ## see that Chromium is there for the browser tests, and install it from Debian's packages if not
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
		|| { echo "installing Chromium for the browser tests"; $(ROOT) apt-get update -qq \
			&& $(ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
		|| { echo "error: the browser tests need Chromium: install the package chromium (or Google Chrome)" >&2; exit 1; }

test: setup browser  ## run all tests
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

lint: setup  ## ruff, mypy --strict, the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-cache

bench: setup  ## measure throughput, history size and lateness
	$(BIN)/python -m benchmarks

chaos: setup  ## faults at random from a printed seed, then an audit of the ledger (SEED=… repeats a run)
	$(BIN)/python -m benchmarks.chaos $(if $(SEED),--seed $(SEED))

screenshots: setup browser  ## take the pictures of docs/web.md from a demo of its own (about two minutes)
	$(BIN)/python -m tests.screenshots

lock: setup  ## write requirements.lock anew from pyproject.toml (needs uv on the PATH)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra local --extra test --extra build pyproject.toml --output-file requirements.lock
