"""The speed of each part: `python -m experiments.benchmark --suite=step`.

A suite is a file with a function `run` that returns its cases, one row of the printed
table each. Findings are in NOTES.md, results in RESULTS.md.
"""
