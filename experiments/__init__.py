"""Programs: `python -m experiments.<program> --help`."""

import os

import data  # noqa: F401  # Before all that takes time: see data/start.py.

# jaxlib 0.10 reports an error for every kept function that it loads on a CPU for which
# LLVM prefers no gathers, although nothing is wrong. Read when jaxlib is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
