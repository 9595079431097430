# memkit: every target makes its own .venv (scripts/bootstrap.sh) and may be run again at any time.
#   make demo STORE=chroma      make test ARGS="-k scope -x"      make format CHECK=1
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-engines matrix format lint type docs recipes notebooks check bench dist constraints clean

BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
PY := $(BIN)/python
JOBS ?= 2
ARGS ?=
STORE ?= sqlite
PYTEST := $(PY) -m pytest -n $(JOBS)
CODE := memkit integrations $(wildcard recipes benchmarks) scripts tests conftest.py

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: ## remember a conversation, recall it in a second process (STORE=chroma for Chroma)
	@scripts/bootstrap.sh demo local $(if $(OPENAI_API_KEY),openai) $(filter-out sqlite memory,$(STORE))
	@$(PY) recipes/quickstart.py --store $(STORE) $(ARGS)

test: ## all tests that need no server (ARGS="-k word" for some)
	@scripts/bootstrap.sh dev
	$(PYTEST) --dist worksteal -m "not engine and not network" $(ARGS)

test-engines: ## conformance over every backend, real engines and servers
	@scripts/bootstrap.sh dev
	$(PYTEST) --dist loadscope -m "engine and not network" $(ARGS)

matrix: ## the integrations on their oldest and newest versions (ARGS="langchain-floor" for one row)
	@scripts/bootstrap.sh dev
	$(PY) scripts/matrix.py $(ARGS)

format: ## put the code in shape (CHECK=1: only say what is not)
	@scripts/bootstrap.sh dev
	$(PY) -m ruff format $(if $(CHECK),--check) $(CODE)
	$(PY) -m ruff check --select I $(if $(CHECK),,--fix) $(CODE)

lint: ## ruff
	@scripts/bootstrap.sh dev
	$(PY) -m ruff check $(CODE) $(ARGS)

type: ## pyright, strict
	@scripts/bootstrap.sh dev
	$(PY) -m pyright $(ARGS)

docs: ## write docs/providers.md and run the snippets (CHECK=1: only compare)
	@scripts/bootstrap.sh dev
	$(PY) scripts/providers_page.py $(if $(CHECK),--check)
	$(PYTEST) tests/meta/test_docs.py $(ARGS)

recipes: ## run every recipe, keyless
	@scripts/bootstrap.sh dev
	$(PYTEST) tests/recipes $(ARGS)

notebooks: ## run every notebook and compare what it prints
	@scripts/bootstrap.sh dev
	$(PYTEST) tests/notebooks $(ARGS)

check: ## format, lint, type, docs, recipes and notebooks, changing nothing
	$(MAKE) format CHECK=1
	$(MAKE) lint
	$(MAKE) type
	$(MAKE) docs CHECK=1
	$(MAKE) recipes
	$(MAKE) notebooks

bench: ## measure quality and speed
	@scripts/bootstrap.sh dev
	$(PY) -m benchmarks $(ARGS)

dist: ## wheels and sdists of all our distributions, in dist/
	@scripts/bootstrap.sh dev
	rm -rf dist
	if $(PY) -m uv --version >/dev/null 2>&1; then installer="--installer uv"; fi; \
	for project in . $(dir $(wildcard integrations/*/pyproject.toml)); do \
	  $(PY) -m build $${installer-} --outdir dist $$project; done
	ls -l dist

constraints: ## write constraints.txt from the versions in .venv
	@scripts/bootstrap.sh dev
	scripts/constraints.sh

clean: ## remove .venv and everything that was built
	rm -rf .venv dist build .pytest_cache .ruff_cache .hypothesis
