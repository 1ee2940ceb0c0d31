# `make train` and `make test` set up a virtual environment and need git and Python only.

PYTHON ?= python3
# Another Python gets an environment of its own: an old one would be taken as it is.
VENV ?= .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
EXTRAS ?= data,plots,test,lint

.PHONY: setup train test lint clean

setup: $(VENV)/ready

$(VENV)/ready: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@

train: setup
	$(VENV)/bin/python -m experiments.train --model=afm_deep

test: setup
	$(VENV)/bin/python -m pytest --numprocesses=auto --dist=loadfile

lint: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .jax_cache .mypy_cache .pytest_cache .ruff_cache
