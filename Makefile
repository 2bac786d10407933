# KineHub: every target installs what it needs first; `make install` does nothing when it is up to date.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VALIDATOR := build/validator/.built
VALIDATOR_SOURCES := $(shell find tests/conformance/validator -name pom.xml -o -name '*.java')
VALIDATE := java -XX:+UseSerialGC -cp "build/validator/classes:build/validator/dependency/*" org.kinehub.conformance.Validate
ROOMS := hub adapters mappings consent schemas

.PHONY: install demo serve test lint bench conformance validate clean

install: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "KineHub needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(STAMP)

demo: install
	$(BIN)/python -m hub.demo

serve: install
	$(BIN)/python -m hub.demo --serve

test: install
	$(BIN)/python -m pytest -q -x --durations=10 --ignore=tests/conformance

lint: install
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m tests.bench

conformance: install
	$(BIN)/python -m pytest -q tests/foreign tests/conformance

# make validate FILES="a.ndjson b.json" [PACKAGES="guide.tgz folder"]: one OperationOutcome a line for each resource.
validate: $(VALIDATOR)
	@$(VALIDATE) $(foreach package,$(PACKAGES),--package $(package)) $(or $(FILES),$(error FILES names NDJSON or JSON files))

$(VALIDATOR): $(VALIDATOR_SOURCES)
	mvn --quiet --batch-mode --file tests/conformance/validator/pom.xml -Dbuild.folder=$(CURDIR)/build/validator package dependency:copy-dependencies >&2
	touch $@

clean:
	rm -rf $(VENV) .kinehub build dist
