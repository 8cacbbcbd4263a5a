# Every target sets up what it needs: a virtual environment in .venv, from the hashed lock. Needs make and Python 3.11–3.13.
# SECONDS, SEED, SUITE, RIVALS, QUICK, JSON, TESTS and MODULES are options: make torture SECONDS=60. PYTHON=path: that Python.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test check torture kills bench mutants nsq-peers lock setup format clean

SECONDS ?= 60
SEED ?=
SUITE ?=
RIVALS ?=
QUICK ?=
JSON ?=
TESTS ?= tests
MODULES ?=
PYTHON ?=

BIN := .venv/bin
STAMP := .venv/.installed

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-15s %s\n", $$1, $$2 }'

demo: $(STAMP) ## index the standard library of this Python, with a crash or two on the way (under two minutes)
	@$(BIN)/python examples/stdlib_index/run.py

test: $(STAMP) ## the tests (TESTS=path for some of them)
	@tools/test.sh $(TESTS)

check: $(STAMP) ## format, lint, types, layers, generated pages, locks
	@PATH="$(CURDIR)/$(BIN):$$PATH" tools/check.sh

torture: $(STAMP) ## kill and stop processes at random under load, then check the ledger (SECONDS=60 SEED=n)
	@$(BIN)/penstock torture --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

kills: $(STAMP) ## kill -9 at every edge of a workflow of each kind: executor, supervisor, owner, all (ten to twenty minutes)
	@KILLS=all $(BIN)/python -m pytest -q -s tests/acceptance/test_workflow_kills.py

bench: $(STAMP) ## measure, each figure beside its control (SUITE=name RIVALS=1 QUICK=1 JSON=file)
	@$(BIN)/python -m benchmarks $(SUITE) $(if $(QUICK),--quick) $(if $(JSON),--json $(JSON)) \
		$(if $(RIVALS),--rivals $(if $(SUITE)$(QUICK),--page .cache/benchmarks.md,--page docs/benchmarks.md))

mutants: ## change the pure modules in small ways, and see that a test notices (MODULES=name,name)
	@python="$$(PYTHON="$(PYTHON)" tools/python.sh)" && nice -n 19 "$$python" tools/mutants.py --modules "$(MODULES)"

format: $(STAMP) ## rewrite the sources in the house format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix --quiet .

nsq-peers: $(STAMP) ## the real NSQ and three of its clients, which the tests of its door run against (needs Go and the network once)
	@tools/nsq_peers.sh

lock: ## resolve the dependencies anew (needs the network)
	@python="$$(PYTHON="$(PYTHON)" tools/python.sh)" && "$$python" tools/lock.py

setup: $(STAMP) ## only the environment in .venv

clean: ## remove the environment and everything generated
	@rm -rf .venv .cache .hypothesis .ruff_cache .import_linter_cache build dist src/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements-dev.lock pyproject.toml tools/setup.sh tools/python.sh
	@PYTHON="$(PYTHON)" tools/setup.sh
