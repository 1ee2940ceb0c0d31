"""Ours and the peers on one workload: examples a second, their ratio, peak memory.

Peers: `note`, the two models of the note retyped in PyTorch, and `deepctr`, the models of
deepctr-torch; each as a user would run it and as experts would, who know the settings of
glibc's allocator and in training fused updates of whole tables (`dense`) or gradients of
the looked-up rows alone (`sparse`), in prediction `torch.compile` (`compiled`, left out
where there is no C++ compiler). See `theirs`.

All have the same rows, sizes of tables and layers, Adam at 1e-3 without clipping, and all
processors. Ours updates the rows of a batch alone, as SparseAdam of `sparse` does; Adam of
the others moves whole tables. The peers' batches lie ready in memory; ours come from
where `sources` says. Each is a process of its own, made anew for every case, so that its
peak memory is its own, too.
"""

import contextlib
import itertools
import json
import logging
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from afm_jax.errors import InputError
from experiments.benchmark import evaluation, step, timing, workload
from experiments.benchmark.peers import environment, handover, workers

_log = logging.getLogger(__name__)

TASKS = ("train", "predict")

_ROOT = pathlib.Path(__file__).parents[3]

_LEARNING_RATE = 1e-3
_EMBEDDING = {"embedding_dim": 16}
_ATTENTION = {**_EMBEDDING, "attention_dim": 16}
_MLP = {**_EMBEDDING, "hidden_dims": (256, 128, 64)}
_NOTE = {"pooling": "mean", "first_order_inputs": "dense"}
_SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "note": {
        "afm": {**_ATTENTION, **_NOTE},
        "afm_deep": {**_ATTENTION, **_MLP, **_NOTE, "dense_in_deep": False},
    },
    "deepctr": {
        "afm": _ATTENTION,
        "dcn": {**_MLP, "num_cross_layers": 6},
        "deepfm": _MLP,
        "fm": _EMBEDDING,
        "nfm": _MLP,
        "wide_deep": _MLP,
    },
}
"""By library and model, the hyperparameters of both sides."""

_COMPILERS = ("c++", "g++", "clang++")

# What `host_memory` sets for ours, in the words of glibc's environment variable.
_ALLOCATOR = {
    "GLIBC_TUNABLES": ":".join(
        f"glibc.malloc.{name}={value}"
        for name, value in {
            "arena_max": 1,
            "hugetlb": 1,
            "mmap_max": 0,
            "top_pad": 64 << 20,
            "trim_threshold": 1 << 40,
        }.items()
    )
}


def run(
    *,
    model_names: Sequence[str],
    batch_sizes: Sequence[int],
    vocab_sizes: Sequence[int],
    tasks: Sequence[str] = TASKS,
    sources: Sequence[str] = ("loader",),
    folder: pathlib.Path,
    turns: timing.Turns = timing.TURNS,
) -> list[dict[str, Any]]:
    """Times ours and the peers that have the model in turn.

    Args:
        model_names: names of models that a peer has.
        batch_sizes: rows of a batch.
        vocab_sizes: table rows of all fields together.
        tasks: of `TASKS`.
        sources: of `step.SOURCES`; where our batches come from in training.
        folder: of the peers' environment, see `environment.make`.
        turns: how often the cases take turns, and how long a turn is.

    Returns:
        For each peer and source 'ours' and 'peers', examples a second; 'ratio', ours
        over the peer's; 'our_rss_mb' and 'peer_rss_mb', the most memory that the
        process held, and 'rss_ratio', ours over the peer's.

    Raises:
        InputError: no peer has the model, the environment cannot be made, or a worker
            ended.
    """
    known = sorted({name for models in _SETTINGS.values() for name in models})
    for name in model_names:
        if name not in known:
            raise InputError(f"No peer has the model {name!r}; choose from {known}.")
    _log.info("The peers' environment: %s", folder)
    python = environment.make(folder)
    cases = []
    for name, batch_size, vocab_size, task, library in itertools.product(
        model_names, batch_sizes, vocab_sizes, tasks, _SETTINGS
    ):
        if name not in _SETTINGS[library]:
            continue
        job = {
            "task": task,
            "model": name,
            "batch_size": batch_size,
            "settings": _SETTINGS[library][name],
            "learning_rate": _LEARNING_RATE,
        }
        _log.info("%s: %s, batch %d, %d rows", library, name, batch_size, vocab_size)
        rows = _rows(task, batch_size, vocab_size, used=min(vocab_sizes))
        labels = {
            "what": task,
            "model": name,
            "batch_size": batch_size,
            "vocab_size": vocab_size,
        }
        with tempfile.TemporaryDirectory() as place:
            path = pathlib.Path(place) / "rows.npz"
            handover.write(path, rows)
            found = _compare(
                {**job, "rows": str(path)},
                python,
                library,
                sources if task == "train" else ("predict",),
                turns,
            )
        cases += [{**labels, **case} for case in found]
    return cases


def _rows(
    task: str, batch_size: int, vocab_size: int, *, used: int
) -> handover.Handover:
    batches = step.LOADER_BATCHES if task == "train" else evaluation.BATCHES
    rows = workload.random_rows(batches * batch_size, vocab_size, used=used)
    offsets = workload.field_offsets(vocab_size, used=used)
    sizes = [*offsets[1:], vocab_size] - offsets
    return handover.Handover(rows.ids - offsets, sizes, rows.dense, rows.labels)


def _compare(
    job: Mapping[str, Any],
    python: str,
    library: str,
    sources: Sequence[str],
    turns: timing.Turns,
) -> list[dict[str, Any]]:
    path = {"PYTHONPATH": str(_ROOT)}
    with contextlib.ExitStack() as stack:

        def start(
            executable: str, module: str, job: Mapping[str, Any], variables: Any
        ) -> workers.Worker:
            command = (executable, "-m", f"{__package__}.{module}", json.dumps(job))
            return stack.enter_context(workers.Worker(command, variables))

        ours = start(sys.executable, "ours", job, path)
        peers = {
            f"{library}, {expert}" if expert else library: start(
                python,
                "theirs",
                {**job, "library": library, "expert": expert},
                {**path, **_ALLOCATOR} if expert else path,
            )
            for expert in (None, *_experts(job["task"]))
        }
        works = {source: ours.work(source) for source in sources}
        works |= {name: peer.work(job["task"]) for name, peer in peers.items()}
        units = dict.fromkeys(sources, step.STEPS_OF_A_CALL)
        times = timing.interleaved(works, turns, units=units)
        our_rss = ours.peak_rss_mb()
        peer_rss = {name: peer.peak_rss_mb() for name, peer in peers.items()}
    return [
        {
            "peer": name,
            "source": source if job["task"] == "train" else None,
            "ours": timing.spread(job["batch_size"] / times[source].seconds),
            "peers": timing.spread(job["batch_size"] / times[name].seconds),
            "ratio": timing.spread(times[name].seconds / times[source].seconds),
            "our_rss_mb": our_rss,
            "peer_rss_mb": rss,
            "rss_ratio": round(our_rss / rss, 3) if our_rss and rss else None,
        }
        for name, rss in peer_rss.items()
        for source in sources
    ]


def _experts(task: str) -> tuple[str, ...]:
    if task == "train":
        return ("dense", "sparse")
    return ("compiled",) if any(map(shutil.which, _COMPILERS)) else ()
