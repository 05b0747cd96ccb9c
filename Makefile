# Everything a fresh machine needs is Python 3.11 or later, and make. `make help` lists the targets.

VENV ?= .venv
TESTS ?= tests
WORKERS ?= 2

# JAX runs on the CPU unless the caller says otherwise, e.g. `make demo JAX_PLATFORMS=cuda`.
JAX_PLATFORMS ?= cpu
export JAX_PLATFORMS

# The first interpreter that is new enough and able to make a virtual environment.
PYTHON ?= $(shell for p in python3 python python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
VERSION := $(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# A Python newer than every lock uses the newest of them.
LOCK := $(firstword $(wildcard locks/python$(VERSION).txt) locks/python3.13.txt)
STAMP := $(VENV)/built-for-python$(VERSION)
PIP := $(VENV)/bin/python -m pip --require-virtualenv --disable-pip-version-check
INSTALL := $(PIP) install --quiet --progress-bar off

.DEFAULT_GOAL := help
.PHONY: help env demo test lint format slow slow-list bench-env peers-env peers-lock hooks lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: env ## the main job on real data, with plots, in about a minute
	$(VENV)/bin/amortis demo

test: lint ## every check: ruff, pyright, import layers, pytest
	$(VENV)/bin/pytest -n $(WORKERS) --dist loadfile $(TESTS)

lint: env ## ruff, pyright (strict) and the import layers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python
	$(VENV)/bin/lint-imports --no-logo

format: env ## let ruff mend what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

slow: env ## the tests marked slow
	$(VENV)/bin/pytest -n $(WORKERS) --dist loadfile -m slow $(TESTS)

slow-list: env ## run every test, and list anew which are slow
	$(VENV)/bin/pytest -n $(WORKERS) --dist loadfile -m "slow or not slow" --junitxml .pytest_cache/run.xml $(TESTS)
	$(VENV)/bin/python -m tests.slow_list .pytest_cache/run.xml

env: $(STAMP) ## build .venv, if pyproject.toml or the lock changed

# A virtual environment of another Python is replaced; otherwise it is brought up to date in place.
$(STAMP): pyproject.toml $(LOCK)
	@test -n "$(VERSION)" || { echo 'No Python 3.11 or later with venv and ensurepip was found: install one (Debian and Ubuntu: python3 and python3-venv), or name it: make PYTHON=/path/to/python3' >&2; exit 2; }
	@echo 'Building $(VENV) for Python $(VERSION) from $(LOCK): about a minute, once.'
	@test "`$(VENV)/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null`" = "$(VERSION)" || "$(PYTHON)" -m venv --clear $(VENV)
	@rm -f $(VENV)/built-for-*
	@$(INSTALL) --requirement $(LOCK)
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@$(PIP) check || { echo 'pyproject.toml asks for what $(LOCK) does not hold: run `make lock`.' >&2; exit 2; }
	@touch $@

bench-env: env ## add PyTorch, which only the race against the baseline needs
	$(INSTALL) --constraint $(LOCK) --no-build-isolation --editable '.[bench]'

# Python 3.11, for which benchmarks/peers.txt was made.
PEERS_PYTHON ?= python3.11
peers-env: ## build .venv-peers: PyMC, pymc-extras and BlackJAX, which only the race needs
	"$(PEERS_PYTHON)" -m venv --clear .venv-peers
	.venv-peers/bin/python -m pip install --quiet --progress-bar off --requirement benchmarks/peers.txt

peers-lock: ## renew benchmarks/peers.txt
	rm -rf .venv-lock && "$(PEERS_PYTHON)" -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --progress-bar off 'jax[cpu]' numpyro blackjax pymc pymc-extras
	{ echo '# Made by `make peers-lock`.'; .venv-lock/bin/python -m pip freeze; } > benchmarks/peers.txt
	rm -rf .venv-lock

hooks: env ## run the checks before every commit
	$(VENV)/bin/pre-commit install

# The newest versions that satisfy pyproject.toml, for one Python: make lock PYTHON=python3.12
lock: ## renew locks/ for one Python
	rm -rf .venv-lock && "$(PYTHON)" -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --progress-bar off '.[test]'
	{ echo '# Made by `make lock` from pyproject.toml.'; .venv-lock/bin/python -m pip freeze --exclude amortis; } > locks/python$(VERSION).txt
	rm -rf .venv-lock

clean: ## remove the environment and what tools leave behind
	rm -rf $(VENV) .venv-peers .venv-lock build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
