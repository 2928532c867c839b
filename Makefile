# make setup | demo | test | lint | bench — each does all its own set-up.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
LOCK ?= infra/requirements.lock
READY := $(VENV)/.ready
export OMP_NUM_THREADS ?= 1

.PHONY: setup demo test test-modern lint format bench clean

setup: $(READY)

$(READY): $(LOCK) pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	$(BIN)/facelib demo

# Spark uses all cores by itself; the files of tests without it go to so many processes.
JOBS ?= 2
test: setup
	$(BIN)/python -m pytest tests/real tests/spark
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests/unit

# The core (all but petastorm) on the newest supported pyspark, pyarrow and numpy.
test-modern:
	$(MAKE) test VENV=.venv-modern LOCK=infra/requirements-modern.lock

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/facelib bench

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
