# What README tells a newcomer to type; each target prepares what it needs.

SHELL := /bin/bash
BIN := .venv/bin
WORKERS ?= 2
# What `make test` says of itself.
TEST_RUN := .cache/make_test.json
DAX_PPDB ?= .venv-dax-ppdb
PYTHON_DAX_PPDB ?= python3.12

# A suite starts more than a thousand processes: where the environment forbids to keep compiled modules, each
# would compile all of tapdb again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests demo demo-stop test test-minutes test-dax-ppdb test-soak test-servers lint bench bench-dachs docs site lock
MAKEFLAGS += --no-print-directory

help: ## Say what there is to make
	@LC_ALL=C sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## Install what is missing: system packages, .venv, the package
	@tools/setup.sh

setup-tests: ## Install what is missing, and what only tests need: STILTS, in Java, and Chromium
	@tools/setup.sh --tests

demo: setup ## Show the main job on real input, start to end; with KEEP=1 server and service stay; DEMO=lake: from files too
	@$(BIN)/tapdb ephemeral $(if $(KEEP),--stay --stopped-by 'make demo-stop') -- $(BIN)/python -m examples.demo

demo-stop: ## Stop the server that `make demo KEEP=1` has left, and remove it
	@test ! -x $(BIN)/tapdb || { $(BIN)/python -m examples.demo stop && $(BIN)/tapdb ephemeral --stop; }

# Pages show what psql says in English; tests of other locales set them for the programs that they run.
test: setup-tests ## Run the static checks and all tests
	@failed=0; SECONDS=0; $(MAKE) lint || failed=1; \
	LC_ALL=C.UTF-8 $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder \
		--quiet || failed=1; \
	mkdir -p $(dir $(TEST_RUN)) && printf '{"seconds": %d, "workers": %d, "failed": %d}\n' \
	$$SECONDS $(WORKERS) $$failed > $(TEST_RUN); \
	exit $$failed

test-minutes: ## Note how long the last `make test` took: benchmarks/results/structure.json
	@$(BIN)/python -m tools.structure $(TEST_RUN)

test-dax-ppdb: setup-tests ## Compare with the real dax_ppdb, in an environment of its own (Python 3.12, 700 MB)
	@test -x $(DAX_PPDB)/bin/python || $(PYTHON_DAX_PPDB) -m venv $(DAX_PPDB)
	@$(DAX_PPDB)/bin/python -c 'import lsst.dax.ppdb' 2>/dev/null || \
	$(DAX_PPDB)/bin/pip install --quiet lsst-dax-ppdb psycopg2-binary
	@TAPDB_DAX_PPDB_PYTHON=$(DAX_PPDB)/bin/python $(BIN)/python -m pytest --quiet tests/ppdb_replay/dax_ppdb_chain.py

test-soak: setup-tests ## Run the long tests: ten thousand ingests, servers that die, all benchmarks, tiny
	@LC_ALL=C.UTF-8 $(BIN)/python -m pytest -m soak --numprocesses=$(WORKERS) --quiet

test-servers: ## Run both commands on bare Debian 12 and 13, in chroots; needs root and debootstrap, two hours
	@python3 -m tools.test_servers

lint: setup ## Run the static checks
	@failed=0; \
	$(BIN)/ruff check --quiet || failed=1; \
	$(BIN)/ruff format --check --quiet || { echo "ruff format --check: files to format, see above" >&2; failed=1; }; \
	$(BIN)/mypy || failed=1; \
	$(BIN)/lint-imports --no-logo || failed=1; \
	exit $$failed

bench: setup ## Measure, and write benchmarks/results
	@$(BIN)/python -m benchmarks && $(MAKE) docs

bench-dachs: setup ## Compare the service with DaCHS in a chroot (2 GB, kept): answers, speed; needs root and debootstrap
	@$(BIN)/python -m benchmarks.services.dachs

docs: setup ## Write the generated parts of docs/
	@$(BIN)/python -m tools.generate_docs && $(BIN)/python -m tools.diagrams

site: setup ## Build docs/ as a site, which tapdb serve has at /docs and a wheel takes with it; a warning is an error
	@$(BIN)/python -m tools.site

lock: setup ## Write requirements.lock from what is installed in .venv, and the lock of the page's scripts
	@$(BIN)/python tools/lock.py
	@cd services/page && npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error
