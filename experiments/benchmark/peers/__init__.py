"""The same workload on what a user would pick instead: PyTorch and deepctr-torch.

Each side trains in a process of its own (`ours`, `theirs`) and does so many steps as it
is told (`protocol`, `workers`), so that the sides take turns (`suite`). The peers live in
a virtual environment of their own (`environment`), where neither jax nor this project's
dependencies are; what runs there imports `protocol`, `handover` and `note` alone.
"""
