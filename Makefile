# The targets are listed by `make` alone. Everything runs in .venv, which is made when it is first needed:
# with the python3 at hand (PYTHON=python3.12 chooses another), from the committed locks, by plain pip.

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
RUN := $(VENV)/bin/
PIP := $(PY) -m pip --disable-pip-version-check --quiet
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo install test format-check lint types contract unit format e2e bench chaos outage soak lock docs clean

help: ## this list
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-13s %s\n", $$1, $$2}'

demo: $(VENV)/.runtime ## play a whole company on this machine; ARGS="--for 30s --port 9000" reaches dealpulse demo
	@exec $(RUN)dealpulse demo $(ARGS)

install: $(VENV)/.runtime ## .venv with dealpulse and nothing for development
	@echo "Ready: $(RUN)dealpulse --help"

test: format-check lint types contract unit ## all checks: format, lint, types, import contract, tests

format-check: $(VENV)/.dev
	$(RUN)ruff format --check .

lint: $(VENV)/.dev ## ruff
	$(RUN)ruff check .

types: $(VENV)/.dev ## mypy, strict
	$(RUN)mypy

contract: $(VENV)/.dev ## who may import whom
	$(RUN)lint-imports --no-cache

unit: $(VENV)/.dev ## unit, property and integration tests; ARGS="-k win_rate" chooses, JOBS=1 runs them one by one
	$(RUN)pytest -m "not e2e and not chaos and not bench" -n $(JOBS) --dist loadfile $(ARGS)

format: $(VENV)/.dev ## rewrite the code in the one format, and what lint can mend
	$(RUN)ruff check --fix-only .
	$(RUN)ruff format .

e2e: $(VENV)/.dev ## whole processes, faults and browsers over a longer time; SHORT=1 leaves out what takes minutes
	HYPOTHESIS_PROFILE=$(PROFILE) $(RUN)pytest -m "e2e and not chaos$(NOT_LONG)" -n $(JOBS) --dist loadfile $(ARGS) $(OR_NONE)
	$(RUN)pytest -m "chaos$(NOT_LONG)" $(ARGS) $(OR_NONE) # alone: it takes all cores

e2e: PROFILE = $(if $(SHORT),default,thorough)
e2e: NOT_LONG = $(if $(SHORT), and not long)
e2e: OR_NONE = $(if $(ARGS),|| [ $$? = 5 ]) # pytest's word for: none of these was chosen

chaos: $(VENV)/.dev ## faults on purpose for at least 10 minutes, then the proof that nothing is lost or doubled
	$(RUN)pytest -m "chaos and long" -s $(ARGS)
	$(PY) -m tests.chaos report

outage: $(VENV)/.dev ## how long partitions stand still after kill -9 of their worker, at default settings
	$(PY) -m tests.chaos outage $(ARGS)
	$(PY) -m tests.chaos report

soak: $(VENV)/.dev ## half an hour on the same population: does memory stay the same? ARGS="--minutes 5"
	$(PY) -m tests.chaos soak $(ARGS)
	$(PY) -m tests.chaos report

bench: $(VENV)/.dev ## measure: events/s, latency, memory; prints a table and writes bench-results/
	$(PY) -m tests.bench $(ARGS)

docs: $(VENV)/.dev ## bring every generated file up to date: docs, schemas, rules, dashboards
	$(RUN)dealpulse --quiet config table > docs/configuration.md
	$(RUN)dealpulse --quiet kpi --list --format markdown > docs/kpis.md
	$(PY) -m events.schema
	$(PY) -m exporters.monitoring

lock: $(VENV)/.dev ## choose versions anew: requirements/*.lock, with hashes, for Python 3.11 and later
	$(COMPILE) --group build --upgrade -o requirements/runtime.lock
	$(COMPILE) --group dev --upgrade -c requirements/runtime.lock -o requirements/dev.lock

COMPILE = $(RUN)uv pip compile pyproject.toml --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --custom-compile-command "make lock"

clean: ## remove .venv and everything that was built or cached, but for the Kafka jars
	rm -rf $(VENV) build dist bench-results htmlcov .coverage *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say which lock was installed last.
$(VENV)/.runtime: requirements/runtime.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "dealpulse needs Python 3.11 or 3.12; \
	this is %d.%d. Say which one to use: make PYTHON=python3.12" % sys.version_info[:2])'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "No virtual environment could be made: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing what dealpulse needs into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements/runtime.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.runtime
	@echo "Installing what development needs into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements/dev.lock
	@touch $@
