"""The two models of the note in PyTorch, and a small case of each.

The note is a public reproduction note of AFM, 2021. Its models are retyped here from a
description of what its code computes; the presets `note_afm` and `note_afm_deep` are to
compute the same. The cases are stored for tests where PyTorch is not installed:

    python tests/note_models.py

wrote tests/stored/note_models.npz, with PyTorch 2.13.0 on a CPU.
"""

import pathlib
from collections.abc import Sequence

import numpy as np

STORED = pathlib.Path(__file__).parent / "stored/note_models.npz"

FIELD_SIZES = (7, 5, 11, 4, 6)
NUM_DENSE, WIDTH, NUM_ROWS, NUM_STEPS, LEARNING_RATE = 13, 8, 16, 5, 1e-3
HIDDEN_DIMS = {"note_afm": (), "note_afm_deep": (12, WIDTH)}
L2 = {"note_afm": 1e-4, "note_afm_deep": 1.3e-4}


def make_case(name: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Rows, parameters before and after five steps of Adam, and probabilities.

    Parameters are called 'before/...' and 'after/...', with the names that ours have.
    Ids are global ones. There is no dropout.
    """
    import torch

    torch.manual_seed(seed)
    model = _make(HIDDEN_DIMS[name])
    ids = torch.stack([torch.randint(n, (NUM_ROWS,)) for n in FIELD_SIZES], dim=1)
    dense = torch.randn(NUM_ROWS, NUM_DENSE)
    labels = torch.randint(2, (NUM_ROWS,)).float()
    offsets = np.cumsum((0, *FIELD_SIZES[:-1]))
    case = {
        "ids": (ids.numpy() + offsets).astype(np.int32),
        "dense": dense.numpy(),
        "labels": labels.numpy(),
        "probabilities": model(ids, dense).detach().numpy(),
        **{f"before/{key}": value for key, value in _parameters(model).items()},
    }
    adam = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, weight_decay=L2[name])
    for _ in range(NUM_STEPS):
        adam.zero_grad()
        torch.nn.functional.binary_cross_entropy(model(ids, dense), labels).backward()
        adam.step()
    after = {f"after/{key}": value for key, value in _parameters(model).items()}
    return {**case, **after}


def _make(hidden_dims: Sequence[int]):
    import torch
    from torch import nn

    class Note(nn.Module):
        def __init__(self):
            super().__init__()
            self.tables = nn.ModuleList(nn.Embedding(n, WIDTH) for n in FIELD_SIZES)
            self.tower = nn.Linear(NUM_DENSE, WIDTH)
            self.attention = nn.Linear(WIDTH, WIDTH)
            self.query = nn.Linear(WIDTH, 1)
            widths = (WIDTH, *hidden_dims)
            self.hidden = nn.ModuleList(map(nn.Linear, widths[:-1], widths[1:]))
            self.output = nn.Linear(WIDTH, 1)

        def forward(self, ids, dense):
            vectors = [table(ids[:, i]) for i, table in enumerate(self.tables)]
            products = torch.stack(
                [
                    vectors[i] * vectors[j]
                    for i in range(len(vectors))
                    for j in range(i + 1, len(vectors))
                ],
                dim=1,
            )
            scores = self.query(torch.relu(self.attention(products)))
            right = (torch.softmax(scores, dim=1) * products).sum(dim=1)
            for layer in self.hidden:
                right = torch.relu(layer(right))
            return torch.sigmoid(self.output(right + self.tower(dense)))[:, 0]

    return Note()


def _parameters(model) -> dict[str, np.ndarray]:
    """Under our names; without the bias of the query, to which softmax is blind."""
    layers = {"dense_tower": model.tower, "attention": model.attention}
    layers |= {f"mlp/hidden_{i}": layer for i, layer in enumerate(model.hidden)}
    layers["output"] = model.output
    arrays = {"attention/query": model.query.weight[0]}
    for name, layer in layers.items():
        arrays[f"{name}/kernel"] = layer.weight.T
        arrays[f"{name}/bias"] = layer.bias
    found = {name: array.detach().numpy().copy() for name, array in arrays.items()}
    tables = [table.weight.detach().numpy() for table in model.tables]
    return {**found, "embedding/table": np.concatenate(tables)}


def load_case(name: str) -> dict[str, np.ndarray]:
    """The stored case."""
    with np.load(STORED, allow_pickle=False) as arrays:
        return {
            key.removeprefix(f"{name}:"): arrays[key]
            for key in arrays
            if key.startswith(f"{name}:")
        }


def main() -> None:
    """Stores the cases."""
    arrays = {
        f"{name}:{key}": value
        for name in HIDDEN_DIMS
        for key, value in make_case(name).items()
    }
    np.savez_compressed(STORED, **arrays)


if __name__ == "__main__":
    main()
