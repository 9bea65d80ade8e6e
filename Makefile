# make sync needs Python 3.10 or later and nothing else; `make` alone lists what there is.
PYTHON ?= python3

TAP := .venv/tap.stamp
DEV := .venv/dev.stamp
TARGET := .venv-target/target.stamp
MADE := .venv .venv.log .venv-target .venv-target.log .demo build dist *.egg-info \
	.hypothesis .mypy_cache .pytest_cache .ruff_cache

.PHONY: help sync psql test test-long lint format clean

help:
	@echo "make sync       Twilio into Postgres: the account in config.json, or else a simulated one;"
	@echo "                into TARGET_POSTGRES_URL, or else a Postgres of its own"
	@echo "make psql       look around in the Postgres that make sync filled"
	@echo "make test       lint and all tests but the long ones"
	@echo "make test-long  the long ones"
	@echo "make lint       ruff and mypy"
	@echo "make format     ruff, changing what it can"
	@echo "make clean      remove what all of these made"

sync:
	@demo/venv.sh $(PYTHON)
	@$(MAKE) -s -j2 $(TAP) $(TARGET)
	@.venv-target/bin/python -m demo.sync

psql:
	@demo/venv.sh $(PYTHON)
	@$(MAKE) -s $(TARGET)
	@.venv-target/bin/python -m demo.sync --psql

test: environments
	@$(MAKE) -s lint
	@.venv/bin/python -m pytest -m "not long"

test-long: environments
	@.venv/bin/python -m pytest -m long

lint: $(DEV)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

format: $(DEV)
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

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

$(TARGET): demo/requirements.txt demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-target -r demo/requirements.txt
	@touch $@
