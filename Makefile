# KineHub: every target installs what it needs first; `make install` does nothing when it is up to date.
SHELL := /bin/bash
# Many short processes are started here: each would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VALIDATOR := build/validator/.built
VALIDATOR_SOURCES := $(shell find tests/conformance/validator -name pom.xml -o -name '*.java')
JAVA := java -XX:+UseSerialGC -cp "build/validator/classes:build/validator/dependency/*"
CORE := build/core/.fhir/packages/hl7.fhir.r4.core\#4.0.1/package/package.json
SUSHI := tests/conformance/sushi/node_modules/.package-lock.json
IPS := build/core/.fhir/packages/hl7.fhir.uv.ips\#2.0.0/package/package.json
IPS_FILES := $(addprefix hl7.fhir.uv.ips/,StructureDefinition-*.json ValueSet-*.json ImplementationGuide-*.json package.json) \
	$(addprefix hl7.fhir.uv.extensions.r4/StructureDefinition-individual-,genderIdentity.json pronouns.json)
ROOMS := hub adapters mappings consent schemas

.PHONY: install demo serve test lint bench leaks conformance guide sushi validate clean

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
	$(BIN)/python -m pytest -q -x --numprocesses=auto --maxprocesses=4 --dist=loadfile --durations=15 --ignore=tests/conformance

lint: install
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m tests.bench

# The leak matrix with each guard switched off in turn, and the clock: about a quarter of an hour; `make test` runs the matrix itself.
leaks: install
	$(BIN)/python -m tests.leaks.mutants
	$(BIN)/python -m tests.leaks.timing
	KINEHUB_CONSENT_EXAMPLES=10000 $(BIN)/python -m pytest -q tests/consent/test_decision_laws.py tests/hub/test_filter_law.py

# make conformance [PACKAGES="guide.tgz folder"]: what claims a profile of these guides of others is judged by them too.
conformance: install
	GUIDES="$(PACKAGES)" $(BIN)/python -m pytest -q tests/foreign tests/conformance

# build/guide/package.tgz: the FHIR implementation guide; WRITE=--write also renews its compact form in schemas/package.
guide: install sushi
	$(BIN)/python -m tests.conformance.guide $(WRITE)

sushi: $(CORE) $(SUSHI) $(IPS)

$(CORE): $(VALIDATOR)
	$(JAVA) org.kinehub.conformance.Core build/core/.fhir/packages

$(SUSHI): tests/conformance/sushi/package-lock.json
	npm ci --prefix $(dir $<) --ignore-scripts --silent --no-audit --no-fund
	touch $@

# IPS, and the two extensions that its Patient names; the rest of what it depends on is not loaded (package.json overrides it with nothing).
# Its canonicals name versions, by which the validator does not find R4's own: they are taken off.
$(IPS): $(SUSHI)
	mkdir -p $(dir $@)
	cd $(dir $<) && for file in $(IPS_FILES); do sed -E 's/("https?:[^"|]*)\|[^"]*"/\1"/g' $$file > $(CURDIR)/$(dir $@)$$(basename $$file); done

# make validate FILES="a.ndjson b.json" [PACKAGES="guide.tgz folder"]: one OperationOutcome a line for each resource.
validate: $(VALIDATOR)
	@$(JAVA) org.kinehub.conformance.Validate $(foreach package,$(PACKAGES),--package $(package)) $(or $(FILES),$(error FILES names NDJSON or JSON files))

$(VALIDATOR): $(VALIDATOR_SOURCES)
	mvn --quiet --batch-mode --file tests/conformance/validator/pom.xml -Dbuild.folder=$(CURDIR)/build/validator package dependency:copy-dependencies >&2
	touch $@

clean:
	rm -rf $(VENV) .kinehub build dist
