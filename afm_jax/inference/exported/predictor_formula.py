"""The logits of lr, fm and afm in NumPy; beside predictor.py in folders of format numpy."""

import numpy as np


def logits(about, weights, features):
    """float32 [B]; the formulas are those of the models' papers."""
    model, options = about["model"], about["hyperparameters"]
    found = weights["base/logit"] + np.zeros(len(features["ids"]), np.float32)
    if model != "lr":
        vectors = pooled(about, features, weights["params/embedding/table"])
    if model == "fm":
        found = found + 0.5 * (
            np.square(vectors.sum(axis=1)) - np.square(vectors).sum(axis=1)
        ).sum(axis=1)
    if model == "afm":
        last = attention_pooling(weights, options, vectors)
        if options["first_order_inputs"] == "dense_tower":
            last = last + weights["params/dense_tower/bias"]
            if "params/dense_tower/kernel" in weights:
                kernel = weights["params/dense_tower/kernel"]
                last = last + features["dense"] @ kernel
            found = found + weights["params/output/bias"]
        found = found + (last @ weights["params/output/kernel"])[:, 0]
    if "params/first_order/bias" in weights:
        found = found + weights["params/first_order/bias"]
    if "params/first_order/table" in weights:
        table = weights["params/first_order/table"]
        found = found + pooled(about, features, table).sum(axis=(1, 2))
    if "params/first_order/kernel" in weights:
        found = found + (features["dense"] @ weights["params/first_order/kernel"])[:, 0]
    return found


def pooled(about, features, table):
    """The vector of each field, [B, F, k]: the mean of its used slots times values."""
    vectors = table[features["ids"]]
    if "values" not in features:
        return vectors
    values = features["values"]
    vectors = vectors * values[..., None]
    means, start = [], 0
    for field in about["fields"]:
        slots = slice(start, start + field["slots"])
        used = np.maximum((values[:, slots] != 0).sum(axis=1), 1)
        if field["slots"] == 1:
            used = np.ones_like(used)
        means.append(vectors[:, slots].sum(axis=1) / used[:, None])
        start += field["slots"]
    return np.stack(means, axis=1).astype(np.float32)


def attention_pooling(weights, options, vectors):
    """sum a_ij (v_i * v_j), a the softmax over pairs of h^T relu(W (v_i * v_j) + b)."""
    one, two = np.triu_indices(vectors.shape[1], k=1)
    products = vectors[:, one] * vectors[:, two]
    of = {"learned": "params", "frozen": "frozen"}.get(options["attention_weights"])
    if of is None:
        found = products.mean(axis=1)
    else:
        network = {
            part: weights[f"{of}/attention/{part}"]
            for part in ("kernel", "bias", "query")
        }
        hidden = np.maximum(products @ network["kernel"] + network["bias"], 0)
        scores = hidden @ network["query"]
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        found = np.einsum("bp,bpk->bk", scores, products)
    return found * (len(one) if options["pooling"] == "sum" else 1)
