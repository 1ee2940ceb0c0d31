"""Programs: `python -m experiments.<program> --help`."""

import os

from experiments.cli import start

start.prepare()

# jaxlib 0.10 reports an error for every kept function that it loads on a CPU for which
# LLVM prefers no gathers, although nothing is wrong. Read when jaxlib is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
