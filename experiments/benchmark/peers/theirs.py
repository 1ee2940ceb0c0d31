"""The peers' worker, run by the Python of their environment; see `suite`.

Libraries: `note`, the note's two models retyped in PyTorch, and `deepctr`, the models of
deepctr-torch as installed. Either is trained by a plain loop of forward, backward and
optimizer step over batches that lie ready in memory, so without the overhead of
deepctr-torch's `fit` and of a DataLoader, and without its default L2 penalty, a pass
over all tables that the others do not make. All this favors the peers.

The job's `expert` is null for what a user would do, Adam over whole tables; 'dense' for
the same by its fused form; 'sparse' for gradients of the looked-up rows alone and
SparseAdam; 'compiled' for prediction through `torch.compile`. The experts' allocator is
set by `suite`.
"""

import itertools
import json
import os
import pathlib
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.benchmark.peers import handover, note, protocol


class Peer(NamedTuple):
    """A model with what it takes.

    Attributes:
        model: module that is called with a batch of each of the inputs.
        inputs: arrays over all rows.
        loss: of the model's outputs and labels, both float32 [B].
    """

    model: nn.Module
    inputs: tuple[torch.Tensor, ...]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def works(job: Mapping[str, Any]) -> dict[str, Callable[[int], None]]:
    """The one work that the job asks for, under the name of its task."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    rows = handover.read(pathlib.Path(job["rows"]))
    make = {"note": _note, "deepctr": _deepctr}[job["library"]]
    peer = make(job["model"], rows, job["settings"])
    size = job["batch_size"]
    labels = torch.from_numpy(rows.labels).split(size)
    inputs = zip(*(array.split(size) for array in peer.inputs), strict=True)
    batches = itertools.cycle(list(zip(inputs, labels, strict=True)))
    if job["task"] == "predict":
        return {"predict": _prediction(peer, batches, expert=job["expert"])}
    return {
        "train": _training(
            peer, batches, learning_rate=job["learning_rate"], expert=job["expert"]
        )
    }


def _training(
    peer: Any, batches: Any, *, learning_rate: float, expert: str | None
) -> Any:
    model = peer.model.train()
    if expert == "sparse":
        tables = [each for each in model.modules() if isinstance(each, nn.Embedding)]
        for table in tables:
            table.sparse = True
        looked_up = [table.weight for table in tables]
        known = set(map(id, looked_up))
        rest = [each for each in model.parameters() if id(each) not in known]
        optimizers = [
            torch.optim.SparseAdam(looked_up, lr=learning_rate),
            torch.optim.Adam(rest, lr=learning_rate, fused=True),
        ]
    else:
        fused = True if expert == "dense" else None
        optimizers = [
            torch.optim.Adam(model.parameters(), lr=learning_rate, fused=fused)
        ]

    def train(count: int) -> None:
        for inputs, labels in itertools.islice(batches, count):
            for optimizer in optimizers:
                optimizer.zero_grad()
            peer.loss(model(*inputs), labels).backward()
            for optimizer in optimizers:
                optimizer.step()

    return train


def _prediction(peer: Any, batches: Any, *, expert: str | None) -> Any:
    model = peer.model.eval()
    if expert == "compiled":
        model = torch.compile(model)

    def predict(count: int) -> None:
        with torch.inference_mode():
            for inputs, _ in itertools.islice(batches, count):
                model(*inputs)

    return predict


def _note(name: str, rows: handover.Handover, settings: Mapping[str, Any]) -> Peer:
    model = note.AFM(
        int(rows.field_sizes.sum()),
        rows.ids.shape[1],
        rows.dense.shape[1],
        settings["embedding_dim"],
        settings["attention_dim"],
        settings["hidden_dims"] if name == "afm_deep" else (),
    )
    ids = torch.from_numpy(rows.global_ids().astype(np.int64))
    inputs = (ids, torch.from_numpy(rows.dense))
    return Peer(model, inputs, functional.binary_cross_entropy_with_logits)


def _deepctr(name: str, rows: handover.Handover, settings: Mapping[str, Any]) -> Peer:
    # As it is imported it asks a web site for its newest version, by a package that it
    # does not require; with an empty one it lets that be.
    sys.modules["requests"] = types.ModuleType("requests")
    from deepctr_torch import inputs as columns
    from deepctr_torch import models

    fields = [
        columns.SparseFeat(f"field_{i}", int(size), settings["embedding_dim"])
        for i, size in enumerate(rows.field_sizes)
    ]
    dense = [columns.DenseFeat(f"dense_{i}") for i in range(rows.dense.shape[1])]
    everywhere = [*fields, *dense]
    plain = {"l2_reg_linear": 0, "l2_reg_embedding": 0}
    hidden = {"dnn_hidden_units": tuple(settings.get("hidden_dims", ()))}
    makers: dict[str, Callable[[], nn.Module]] = {
        "afm": lambda: models.AFM(
            everywhere,
            fields,
            attention_factor=settings["attention_dim"],
            l2_reg_att=0,
            **plain,
        ),
        "dcn": lambda: models.DCN(
            everywhere,
            everywhere,
            cross_num=settings["num_cross_layers"],
            l2_reg_cross=0,
            **hidden,
            **plain,
        ),
        "deepfm": lambda: models.DeepFM(everywhere, everywhere, **hidden, **plain),
        # deepctr-torch has no FM but this.
        "fm": lambda: models.DeepFM(everywhere, fields, **hidden, **plain),
        "nfm": lambda: models.NFM(everywhere, everywhere, **hidden, **plain),
        "wide_deep": lambda: models.WDL(everywhere, everywhere, **hidden, **plain),
    }
    # Its models take all columns as one float32 array and give probabilities.
    inputs = np.concatenate([rows.ids.astype(np.float32), rows.dense], axis=1)

    def loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy(outputs.squeeze(1), labels)

    return Peer(makers[name](), (torch.from_numpy(inputs),), loss)


if __name__ == "__main__":
    protocol.serve(lambda: works(json.loads(sys.argv[1])))
