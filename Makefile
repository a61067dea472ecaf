# Two commands matter: `make validate` (is the emulated BMS right?) and `make test` (is the bench right?).
# Both set up .venv by themselves the first time. Needs: make, Python 3.11 or newer with venv, or uv.

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
DUT   ?= hd_lfp_24s
STATION ?= emulated
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)

# Matrices here are small: threads of the linear algebra library only get in each other's way.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup validate test lint types unit allure lock clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

# Without a new run (2 to 5) the newest results are old ones: no page is made of them. The inner make is
# spelled out, because `make -n` runs every line that has $(MAKE) in it.
validate: $(READY)  ## run every scenario on the emulated rack and write the reports
	@status=0; $(BIN)/bmsbench run --station $(STATION) --dut $(DUT) || status=$$?; \
	case $$status in 2|3|4|5) exit $$status;; esac; \
	make --no-print-directory allure || [ $$status != 0 ] || status=1; exit $$status

test: lint types unit  ## check the bench itself: lint, types, layers, unit tests

setup: $(READY)  ## make .venv and install what requirements.lock pins

lint: $(READY)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict
	$(BIN)/mypy

# Scenarios report each assertion that holds; here that would only explain every assert of every library.
unit: $(READY)  ## pytest tests/, import contracts among them
	$(BIN)/pytest tests -q -n auto --dist worksteal -o enable_assertion_pass_hook=false

allure: $(READY)  ## Allure page of the newest run, if Node.js is here
	@if ! node -e 'process.exit(+process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null || ! command -v npm >/dev/null; then \
		echo "Allure page left out: it needs Node.js 20 or newer with npm. Install them, then: make allure"; \
	else \
		[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --loglevel=error || exit 1; \
		$(BIN)/python -m reports.allure_page results/latest; \
	fi

lock:  ## resolve requirements.lock and package-lock.json again (UPGRADE=1: newest versions)
	@command -v uv >/dev/null || { echo "make lock needs uv on PATH."; exit 1; }
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --quiet $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	npm install --package-lock-only --loglevel=error

clean:  ## remove everything that make made, results excepted
	rm -rf $(VENV) node_modules build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Anyone's mirror works: the lock holds versions and hashes, never an address. setuptools is in it, so
# installing the project itself downloads nothing.
$(READY): requirements.lock pyproject.toml
	@if command -v uv >/dev/null; then \
		{ [ -x $(BIN)/python ] || uv venv --quiet --python '>=3.11' $(VENV); } \
		&& uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock \
		&& uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	elif [ -z "$(PYTHON)" ]; then \
		echo "bmsbench needs Python 3.11 or newer, found $$(python3 --version 2>&1 || echo none). Or install uv."; exit 1; \
	elif ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "bmsbench needs Python's venv: apt-get install python3-venv"; exit 1; \
	else \
		{ $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV); } \
		&& $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock \
		&& $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $(READY)
