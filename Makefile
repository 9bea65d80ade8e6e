# make sync needs Python 3.10 or later and nothing else; `make` alone lists what there is.
PYTHON ?= python3

TAP := .venv/tap.stamp
DEV := .venv/dev.stamp
TARGET := .venv-target/target.stamp
AUDIT := .venv-audit/audit.stamp
DBT := .venv-dbt/dbt.stamp
BENCH := .venv-bench/bench.stamp
MADE := .venv .venv.log .venv-3.*  .venv-target .venv-target.log .venv-audit .venv-audit.log \
	.venv-bench .venv-bench.log .venv-dbt .venv-dbt.log .bench .demo build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache

.PHONY: help sync psql test test-long lint format audit bench soak clean

help:
	@echo "make sync       Twilio into Postgres: the account in config.json, or else a simulated one;"
	@echo "                into TARGET_POSTGRES_URL, or else a Postgres of its own;"
	@echo "                STREAMS=all or STREAMS=messages,alerts chooses tables"
	@echo "make psql       look around in the Postgres that make sync filled"
	@echo "make test       lint and all tests but the long ones"
	@echo "make test-long  the long ones, property tests with more examples, and make test on other Pythons"
	@echo "make test-dbt   the dbt example; its packages come from the network, or from the folder DBT_PACKAGES"
	@echo "make lint       ruff, mypy and bandit"
	@echo "make format     ruff, changing what it can"
	@echo "make audit      pip-audit: known vulnerabilities of what the tap installs; needs the network"
	@echo "make bench      what a sync costs beside the least that is possible: some 40 minutes; PARTS=\"start rows\": less"
	@echo "make soak       500 syncs in a row against a faulty sandbox: memory, files and state stay flat"
	@echo "make clean      remove what all of these made"

sync:
	@demo/venv.sh $(PYTHON)
	@$(MAKE) -s -j2 $(TAP) $(TARGET)
	@.venv-target/bin/python -m demo.sync

psql:
	@demo/venv.sh $(PYTHON)
	@$(MAKE) -s $(TARGET)
	@.venv-target/bin/python -m demo.sync --psql

# Most tests wait for a process or a clock, so three at a time suit two cores. Those of one file share a server.
WORKERS := -n 3 --dist loadgroup

test: environments
	@$(MAKE) -s lint
	@.venv/bin/python -m pytest $(WORKERS) -m "not long"

test-long: environments pythons
	@.venv/bin/python -m pytest $(WORKERS) --timeout=0 -m "long or hypothesis" --hypothesis-profile=long

.PHONY: test-dbt
test-dbt: environments $(DBT)
	@.venv/bin/python -m pytest --timeout=0 tests/test_dbt.py

# The whole suite once more on the oldest Python and on newer ones, of those that are installed.
PYTHONS ?= 3.10 3.13 3.14

.PHONY: pythons
pythons: $(TARGET)
	@for version in $(PYTHONS); do \
		if ! python$$version -c "" 2>/dev/null; then echo "There is no python$$version here: left out."; continue; fi; \
		demo/venv.sh python$$version .venv-$$version -e ".[dev]" && \
		.venv-$$version/bin/python -m pytest -q $(WORKERS) -m "not long" || exit 1; \
	done

lint: $(DEV)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/bandit --quiet --configfile pyproject.toml --recursive tap_twilio

format: $(DEV)
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

# --strict: a package that could not be looked up fails the audit, where it would else be left out of it.
audit: $(TAP) $(AUDIT)
	@.venv/bin/python -m pip freeze --exclude-editable >.venv-audit/packages.txt
	@.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r .venv-audit/packages.txt

bench: $(BENCH)
	@.venv-bench/bin/python -m benchmarks.bench $(PARTS)

soak: $(DEV)
	@.venv/bin/python -m benchmarks.soak --syncs 500

clean:
	@if [ -d .demo ] && [ -f $(TARGET) ]; then .venv-target/bin/python -m demo.sync --stop; fi
	@rm -rf $(MADE)
	@find . -name __pycache__ -not -path "./.git/*" -prune -exec rm -rf {} +

.PHONY: environments
environments:
	@demo/venv.sh $(PYTHON)
	@$(MAKE) -s -j2 $(DEV) $(TARGET)

$(TAP): setup.py demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv -e .
	@touch $@

$(DEV): setup.py demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv -e ".[dev]"
	@touch $(TAP) $@

$(AUDIT): demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-audit "pip-audit>=2.7"
	@touch $@

$(DBT): examples/dbt/requirements.txt demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-dbt -r examples/dbt/requirements.txt
	@touch $@

$(BENCH): setup.py demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-bench -e ".[bench]"
	@touch $@

$(TARGET): demo/requirements.txt demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-target -r demo/requirements.txt
	@touch $@
