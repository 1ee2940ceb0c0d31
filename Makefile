# `make train`, `make check` and `make test` set up a virtual environment and need git and Python only.

PYTHON ?= python3
# Another Python gets an environment of its own: an old one would be taken as it is.
VENV ?= .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
EXTRAS ?= data,plots,test,lint

PYTEST = $(VENV)/bin/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

# What a person waits for, a minute once .jax_cache holds the compiled programs: formulas,
# parameters, the contract of four models. Left to `make test` are the kernels of attention,
# which take a third of the time of tests/ops, and the models' other forms.
CHECK = tests/layering_test.py tests/errors_test.py tests/ops tests/modules \
	tests/models/contract_test.py -k 'not contract_test or (afm or nfm or xdeepfm) and not dense_tower' \
	$(addprefix --ignore=tests/ops/,$(addsuffix _test.py,batch_split blocked_attention pallas_attention))

# What another jax may break: formulas, one model, devices, checkpoints, a program.
QUICK = tests/ops tests/models/contract_test.py \
	$(addprefix tests/training/,$(addsuffix _test.py,devices run/checkpoints)) \
	tests/experiments/train_test.py -k '(not contract_test and not devices_test or afm_deep) \
	and (not train_test or evaluate_agrees)'

.PHONY: setup train check test quick lint clean

setup: $(VENV)/ready

$(VENV)/ready: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@

train: setup
	$(VENV)/bin/python -m experiments.train --model=afm_deep

check: lint
	$(PYTEST) $(CHECK)

test: setup
	$(PYTEST)

quick: setup
	$(PYTEST) $(QUICK)

lint: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .jax_cache .mypy_cache .pytest_cache .ruff_cache
