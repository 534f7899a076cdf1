# Everything a newcomer needs. `make demo` shows the whole system, `make test` checks all of it.
PYTHON    ?= python3
VENV      := .venv
BIN       := $(VENV)/bin
PYTEST    := $(BIN)/pytest -q -p no:cacheprovider
WINDOWS   := tests/integration/test_edge_reports.py
WHOLE     := tests/integration/test_demo.py
EDGES     := $(filter-out $(WINDOWS),$(wildcard tests/integration/test_edge*.py))
LISTS     := $(wildcard $(addsuffix *.py,$(addprefix tests/integration/test_,blocklist registry repository rpz sources hsm)))
PORT_BASE ?= 10053
CHECK     ?=
CHEAT     ?= stale
LIST      ?=
SECONDS   ?= 60

CYTHON_SOURCES := $(shell find blocklist_sync resolver -name '*.pyx' -o -name '*.pxd' -o -name '*.h')

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit unit-resolver unit-others windows integration authority lists edges whole conformance fuzz entropy simulate bench fanout ingest storage protos lock clean ready

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/locked: lock/dev.txt deploy/preflight.sh
	@sh deploy/preflight.sh $(PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r lock/dev.txt
	@touch $@

$(VENV)/built: $(VENV)/locked pyproject.toml setup.py $(CYTHON_SOURCES)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

ready: $(VENV)/built

demo: ready  ## the whole system here; CHECK=1 ends with both verdicts, CHEAT=none makes B honest, LIST=FILE adds a list
	@$(BIN)/python -m deploy.demo $(if $(CHECK),--check) --cheat $(CHEAT) --port-base $(PORT_BASE) $(if $(LIST),--list "$(LIST)")

# What needs a processor runs side by side, and beside it what only waits for windows of time to close; whichever ends first
# makes room for the next. Demos, which are held to a minute, have the machine to themselves, each in turn.
test: ready  ## every check there is
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target lint unit windows
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target integration
	@$(MAKE) --no-print-directory whole

lint: ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	$(BIN)/buf lint

unit: unit-resolver unit-others

unit-resolver: ready
	$(PYTEST) tests/unit/resolver

unit-others: ready
	$(PYTEST) $(filter-out tests/unit/resolver,$(wildcard tests/unit/*)) tests/property tests/architecture

windows: ready
	$(PYTEST) $(WINDOWS)

integration: authority edges lists

authority: ready
	$(PYTEST) tests/integration $(addprefix --ignore=,$(WINDOWS) $(WHOLE) $(EDGES) $(LISTS))

edges: ready
	$(PYTEST) $(EDGES) tests/faults

lists: ready
	$(PYTEST) $(LISTS)

whole: ready
	$(PYTEST) $(WHOLE)

conformance: ready  ## every case of the standards over every transport (needs Debian's dig)
	$(BIN)/python -m tests.conformance

build/fuzz/site/atheris: lock/fuzz.txt
	-@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade --target build/fuzz/site -r $<
	-@touch -c $@

fuzz: ready build/fuzz/site/atheris  ## inputs made for the edge's parsers, under sanitizers, for SECONDS=60
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

entropy: ready  ## ids and ports of 24,000 queries to an upstream, measured; and every lie told to an edge
	$(BIN)/pytest -q -s tests/faults/test_spoofing.py

simulate: ready  ## 10,000 honest operator-years and every cheat: what the verdict finds, how seldom it errs; 20 minutes
	$(BIN)/python -m tests.simulate $(SIMULATE)

bench: ready  ## this resolver beside its peers, in one run (needs Debian's dnsperf and nsd; peers that are there)
	$(BIN)/python -m tests.bench $(BENCH)

storage: ready  ## a national year in PostgreSQL: how long the console waits for what it asks; some minutes, 5 GB of disk
	$(BIN)/python -m tests.bench.storage $(STORAGE)

fanout: ready  ## publish to enforced at 200 real agents, by announcements and by polling; builds of a million and ten
	$(BIN)/python -m tests.fanout $(FANOUT)

ingest: ready  ## reports per core, single and in batches; then PostgreSQL and the services killed, nothing lost or doubled
	$(BIN)/python -m tests.ingest $(INGEST)

protos: ready  ## regenerate lachan/*/v1 from proto/
	$(BIN)/python -m tests.support.protos

lock:  ## resolve the dependencies anew
	$(PYTHON) -m venv build/lock && build/lock/bin/pip install --quiet pip-tools
	for extra in edge: central:--extra=central dev:--all-extras; do build/lock/bin/pip-compile --quiet --upgrade \
	  --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-index-url --no-emit-find-links \
	  $${extra#*:} -o lock/$${extra%%:*}.txt pyproject.toml; done
	echo 'atheris>=3' | build/lock/bin/pip-compile --quiet --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links -o lock/fuzz.txt -

clean:  ## remove what was built
	rm -rf $(VENV) build *.egg-info
	find blocklist_sync resolver -name '*.so' -delete
