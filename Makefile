# Each target sets itself up: Python 3.11 or 3.12, a .venv, the locked packages. Later calls skip this.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON ?= $(firstword $(shell for p in python3 python3.12 python3.11; do $$p -c \
	'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && command -v $$p; done))
OLD_WORDS := told|mend(s|ed|ing)?|whoever|nobody|anybody|but for
UV := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.lock)

.PHONY: help setup demo repro model test slow lint format clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##/  make \1\t/p' Makefile

setup: $(READY)  ## .venv with everything in it

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or 3.12 is needed, set PYTHON=/path/to/it" >&2; exit 2; }
	test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv==$(UV); }
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --compile-bytecode requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps -e .
	@touch $@

demo: $(READY)  ## only AV-CAT, briefly trained, and a dubbed clip
	$(BIN)/python -m stages.reproduce --profile demo --rows full

repro: $(READY)  ## every table and figure: AV-CAT, its ablations and its peers, each briefly trained
	$(BIN)/python -m stages.reproduce --profile tables --rows all

model: $(READY)  ## only AV-CAT, trained for most of an hour: the best for dubbing
	$(BIN)/python -m stages.reproduce --profile tiny --rows full

test: $(READY)  ## the tests, except the slow ones
	$(BIN)/python -m pytest

slow: $(READY)  ## the slow tests: all stages by DVC, two Ray nodes and an S3 server, a thousand damaged videos, all real clips
	$(BIN)/python -m pytest -m slow

lint: $(READY)  ## style, types, import rules and plain words
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@! git grep -nwE "$(OLD_WORDS)" -- '*.py' '*.md' '*.yaml' '*.html' '*.js' ':!avcat/synth/texts.py' \
		|| { echo "error: plain words instead: reported, fix, no one, except" >&2; exit 1; }

format: $(READY)  ## fix style automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## outputs and resumable state; DVC's cache and .venv stay
	rm -rf out state
