# Handful's chores, the same for people and for .ci/run. Each sets up .venv by itself when that is needed:
# all it takes is make, a Python from 3.11 to 3.13 and a package index that pip can reach.
#
#   make demo    draw photos of metal parts, train on them, show the result
#   make test    the whole test suite; `make test ARGS="-k split"` runs a part of it
#   make lint    ruff check, ruff format --check, pyright
#   make bench   the benchmarks
#   make bench-embedded   what the embedded backbone's features are worth; ARGS="--textures F --natural F"
#   make bench-trust  whether intervals cover, duplicates are found, ...; the last part takes long
#   make docs    check the pages: links exist, Python blocks compile, `handful` lines name real options
#   make clean   remove .venv and what the chores left behind

SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
ARGS ?=

# Written last, so that an interrupted set-up starts again; older than pyproject.toml, so does a changed one.
PACKAGE := $(VENV)/.package-is-installed
DEV := $(VENV)/.dev-tools-are-installed

.PHONY: demo test lint bench bench-embedded bench-trust docs clean
.DEFAULT_GOAL := test

demo: $(PACKAGE)
	$(VENV)/bin/handful demo $(ARGS)

test: $(DEV)
	$(PYTHON) -m pytest $(ARGS)

lint: $(DEV)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m pyright

bench: $(DEV)
	$(PYTHON) benchmarks/run.py $(ARGS)

bench-embedded: $(DEV)
	$(PYTHON) benchmarks/embedded.py $(ARGS)

bench-trust: $(DEV)
	$(PYTHON) benchmarks/trust.py
	$(PYTHON) benchmarks/planted_duplicates.py
	$(PYTHON) benchmarks/data_check.py
	$(PYTHON) benchmarks/trust_coverage.py

# The pages are Markdown, read where they are: nothing is built, they are only checked.
docs: $(PACKAGE)
	$(PYTHON) docs/check.py

clean:
	rm -rf $(VENV) dist build .pytest_cache .ruff_cache

# Names are tried in turn, and each is run: a pyenv shim exists for versions that are not switched on, and
# Debian ships a Python without ensurepip. PYTHON3=/path/to/python make ... chooses one by hand.
FITS = import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
FIND_PYTHON = \
	for name in $${PYTHON3:-} python3.13 python3.12 python3.11 python3 python; do \
		if "$$name" -c '$(FITS)' >/dev/null 2>&1; then echo "$$name"; break; fi; \
	done

$(PACKAGE): pyproject.toml
	@if ! { $(PYTHON) -c '$(FITS)' && $(PYTHON) -m pip --version; } >/dev/null 2>&1; then \
		found=$$($(FIND_PYTHON)); \
		if [ -z "$$found" ]; then \
			echo "No Python from 3.11 to 3.13 with venv and ensurepip was found. Install one" \
				"(Debian, Ubuntu: apt install python3-venv), or name it: PYTHON3=/path/to/python make" >&2; \
			exit 1; \
		fi; \
		echo "Making $(VENV) with $$found"; \
		"$$found" -m venv --clear $(VENV); \
	fi
	$(PYTHON) -m pip install --quiet --upgrade "pip>=25.1"
	$(PYTHON) -m pip install --quiet --editable .
	@touch $@

$(DEV): pyproject.toml $(PACKAGE)
	$(PYTHON) -m pip install --quiet --group dev
	@touch $@
