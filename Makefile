# `make book` builds the book, `make test` checks everything; both make their own environment in .venv first.

# The first Python that is new enough; another one: make PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11, 4))' 2>/dev/null && echo $$python && break; done)
PORT ?= 8000
BIN := .venv/bin
# Behind a link is the environment of another clone, whose package is that clone's: this folder's goes before it.
ifneq ($(shell test -L .venv && echo link),)
export PYTHONPATH := $(CURDIR)$(addprefix :,$(PYTHONPATH))
endif

# Hundreds of processes import the package, which each of them would else compile anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup book pdf serve test test-long lint format clean distclean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## make or update the environment .venv (every other target does this first)
	@test -n "$(PYTHON)" || { echo "Python 3.11.4 or newer is needed, and none was found (python3 is" \
		"$$(python3 --version 2>/dev/null || echo missing)). Give one: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) tools/environment.py

book: setup  ## execute the notebooks (cached) and build the book into _build/html; a warning is an error
	$(BIN)/jupyter-book build . -W -n --keep-going
	@echo "From the disk the playground is pictures: make serve brings it alive, at http://127.0.0.1:$(PORT)"

pdf: book  ## print the book as one PDF into _build/pdf, and offer it on its first page
	$(BIN)/python tools/make_pdf.py
	$(BIN)/jupyter-book build . -W -n --keep-going -q

serve: book  ## build the book and serve it on this machine: http://127.0.0.1:8000 (another port: PORT=8001)
	$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

lint: setup  ## style, types, who imports whom, tidy notebooks, spelling; of Python and of JavaScript
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python tools/tidy_notebooks.py --check
	$(BIN)/python tools/check_spelling.py
	$(BIN)/python tools/check_javascript.py

test: lint book  ## every check: lint, the book built with warnings as errors, all tests
	@$(BIN)/python tools/find_browser.py
	$(BIN)/pytest -n logical

test-long: book  ## what would take too long every time, and 10,000 inputs of every kind that nobody made on purpose
	@$(BIN)/python tools/find_browser.py
	$(BIN)/pytest -n logical -m long
	$(BIN)/python tools/fuzz.py

format: setup  ## put code and notebooks into the form that lint asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tools/tidy_notebooks.py

clean:  ## remove the built book, its execution cache and what the tools remember
	rm -rf _build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean  ## remove the environment too
	rm -rf .venv
