# Two commands are enough: `make run` and `make test`. Both make .venv first, once.

PYTHON ?= python3
JOBS ?= 4
PYTEST_ARGS ?=
BENCH_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)
# What only looks must touch neither the portal's own folder nor its database.
ASIDE := env -u DATABASE_URL PORTAL_DATA_DIR=$(CURDIR)/$(VENV)/data

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run runner test test-full crash-test soak lint check bench install constraints clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: PORT (8000), PORTAL_DATA_DIR (./var), DATABASE_URL (SQLite), PYTHON (python3),"
	@echo "  JOBS (4) and PYTEST_ARGS for the tests. All settings are in README.md."

run: $(VENV)/.run ## start the portal on 127.0.0.1:8000 and print how to use it
	@$(BIN)/python manage.py run_portal

runner: $(VENV)/.run ## start a receiver of events to copy (examples/runner), beside a portal that sends to it
	@[ -e "$${PORTAL_RUNNER_SECRET_FILE:-$${PORTAL_DATA_DIR:-var}/secrets/runner_secret}" ] || [ "$$PORTAL_RUNNER_SECRET" ] || \
		{ echo "No secret yet: start the portal first, as examples/runner/README.md says." >&2; exit 1; }
	@PORTAL_TOKEN=$$($(BIN)/python manage.py create_token runner --scope service --expires-in 1d | tail -n 1) \
	PORTAL_RUNNER_SECRET_FILE="$${PORTAL_RUNNER_SECRET_FILE:-$${PORTAL_DATA_DIR:-var}/secrets/runner_secret}" \
	RUNNER_FOLDER="$${RUNNER_FOLDER:-$${PORTAL_DATA_DIR:-var}/received}" \
	PORTAL_URL=$${PORTAL_URL:-http://127.0.0.1:$${PORT:-8000}} $(BIN)/python examples/runner/receive.py

# Hundreds of processes start, and two suites are collected: what is compiled is kept, whatever the shell has set.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.dev ## run the whole suite on SQLite and on PostgreSQL
	@status=0; \
	echo "== The suite on SQLite"; $(ASIDE) $(PYTEST) || status=1; \
	echo "== The suite on PostgreSQL"; \
	PORTAL_DATA_DIR=$(CURDIR)/$(VENV)/data $(BIN)/python -m tests.postgres -- $(PYTEST) || status=1; \
	exit $$status

test-full: export PORTAL_TEST_ROUNDS = full
test-full: export PYTEST_TIMEOUT = 3600
test-full: test ## everything on both databases, every race and crash at its full count

# The short forms take about an hour; CRASH_ROUNDS=long is for a night. Each goes on when another has found something.
CRASH_ROUNDS ?= short
ifeq ($(CRASH_ROUNDS),long)
CRASH_KILLS := 3000
CRASH_CUTS := 500
CRASH_CALLS :=
else
CRASH_KILLS := 200
CRASH_CUTS := 60
CRASH_CALLS := --changes-only --every 2
endif
CRASH := $(ASIDE) $(BIN)/python -m tests.crashes
REPORTS := tests/crashes/reports

crash-test: $(VENV)/.dev ## kills, system calls, power cuts, full disks, seeded bugs; CRASH_ROUNDS=long
	@mkdir -p $(REPORTS); status=0; \
	for database in sqlite postgresql; do \
		echo "== Kills on $$database"; $(CRASH).kills --database $$database --rounds $(CRASH_KILLS) --clients 16 \
			--report $(REPORTS)/kills_$$database.md || status=1; \
		echo "== Every call on $$database"; $(CRASH).every_call --database $$database $(CRASH_CALLS) \
			--report $(REPORTS)/every_call_$$database.md || status=1; \
		echo "== Calls of the real server on $$database"; $(CRASH).served_calls --database $$database --every 3 \
			--report $(REPORTS)/served_calls_$$database.md || status=1; \
		echo "== The order of calls on $$database"; $(CRASH).call_order --database $$database || status=1; \
	done; \
	for database in sqlite postgresql; do \
		echo "== Full disks on $$database"; $(CRASH).full_disks --database $$database \
			--report $(REPORTS)/full_disks_$$database.md || [ $$? = 2 ] || status=1; \
	done; \
	for place in "ext4 sqlite same" "ext4 sqlite other" "ext4 postgresql same" "ext4 postgresql other" \
			"xfs sqlite same" "xfs sqlite other" "xfs postgresql same" "xfs postgresql other"; do \
		set -- $$place; echo "== Power cuts on $$1, $$2 on the $$3 file system"; \
		$(CRASH).power_cuts --rounds $(CRASH_CUTS) --filesystem $$1 --database $$2 --database-on $$3 \
			--report $(REPORTS)/power_cuts_$$1_$$2_$$3.md || [ $$? = 2 ] || status=1; \
	done; \
	echo "== Seeded bugs"; $(CRASH).seeded_bugs --report $(REPORTS)/seeded_bugs.md || status=1; \
	if [ $$status = 0 ]; then echo "crash-test: no fault; the reports are in $(REPORTS)"; \
	else echo "crash-test: FAULTS, see above and $(REPORTS)"; fi; exit $$status

SOAK_ARGS ?=

soak: $(VENV)/.dev ## an hour of load with faults: nothing lost, nothing grows; SOAK_ARGS="--minutes 5"
	@$(CRASH).soak $(SOAK_ARGS)

lint: $(VENV)/.dev ## ruff, mypy, import-linter, Django's checks
	$(BIN)/ruff check .
	$(ASIDE) $(BIN)/mypy
	$(ASIDE) $(BIN)/lint-imports
	$(ASIDE) $(BIN)/python manage.py check
	$(ASIDE) $(BIN)/python manage.py makemigrations --check --dry-run

check: lint test ## lint, then test

bench: $(VENV)/.dev ## measure against others; BENCH_ARGS="uploads --quick"; writes benchmarks/RESULTS.md
	@env -u DATABASE_URL $(BIN)/python -m benchmarks $(BENCH_ARGS)

install: $(VENV)/.dev ## make .venv with all that developers need

# Needs uv. No index host is written, so anybody's index serves.
constraints: ## pin the newest versions of all dependencies again
	uv pip compile --upgrade --universal --no-header --no-annotate --quiet \
		--python-version 3.11 --all-extras pyproject.toml -o constraints.txt

clean: ## remove .venv and caches; ./var, with your files, stays
	rm -rf $(VENV) build *.egg-info client/build client/src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find boot portal tests benchmarks client examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else \
		"Python 3.11 to 3.14 is needed, this is %d.%d: make PYTHON=python3.11" % v)'
	@echo "Installing into $(VENV), this once; it takes a minute or two."
	@$(PYTHON) -m venv --clear $(VENV)

# Stamps: nothing is installed again until one of these two files changes.
$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $(VENV)/.run $@
