"""The formulas once more, slowly: float64 NumPy loops that tests compare with."""

import numpy as np


def pairs(num_fields):
    return [(i, j) for i in range(num_fields) for j in range(i + 1, num_fields)]


def embed_fields(table, ids, values=None, slot_fields=None):
    """[B, F, k]: mean of x v over the used slots of each field."""
    table = np.asarray(table, np.float64)
    ids = np.asarray(ids)
    num_rows, num_slots = ids.shape
    x = np.ones(ids.shape) if values is None else np.asarray(values, np.float64)
    fields = range(num_slots) if slot_fields is None else slot_fields
    result = np.zeros((num_rows, max(fields) + 1, table.shape[1]))
    for b in range(num_rows):
        used = np.zeros(max(fields) + 1)
        for s, field in enumerate(fields):
            result[b, field] += x[b, s] * table[ids[b, s]]
            used[field] += x[b, s] != 0
        result[b] /= np.maximum(used, 1)[:, None]
    return result


def flat_inputs(table, features, slot_fields=None):
    """[B, F k + D]: the vectors of the fields one after another, then dense columns."""
    vectors = embed_fields(table, features.ids, features.values, slot_fields)
    return np.array(
        [
            [*row.ravel(), *dense]
            for row, dense in zip(vectors, features.dense, strict=True)
        ]
    )


def pair_products(v):
    """[B, P, k] of embeddings [B, F, k]."""
    v = np.asarray(v, np.float64)
    return np.array([[row[i] * row[j] for i, j in pairs(len(row))] for row in v])


def bi_interaction(v):
    """[B, k]."""
    return np.array([sum(products) for products in pair_products(v)])


def fm_pair_term(v):
    """[B]."""
    v = np.asarray(v, np.float64)
    return np.array([sum(row[i] @ row[j] for i, j in pairs(len(row))) for row in v])


def attention_weights(v, kernel, bias, query):
    """[B, P]."""
    kernel, bias, query = (np.asarray(x, np.float64) for x in (kernel, bias, query))
    result = []
    for products in pair_products(v):
        scores = np.array(
            [query @ np.maximum(product @ kernel + bias, 0) for product in products]
        )
        exponentials = np.exp(scores - scores.max())
        result.append(exponentials / exponentials.sum())
    return np.array(result)


def attention_pooling(v, kernel, bias, query):
    """[B, k]."""
    weights = attention_weights(v, kernel, bias, query)
    return np.array(
        [
            sum(a * product for a, product in zip(row, products, strict=True))
            for row, products in zip(weights, pair_products(v), strict=True)
        ]
    )


def first_order(params, features, slot_fields=None):
    """[B], over the fields if params have a table, the dense columns if a kernel."""
    logits = np.full(len(features.ids), float(params["bias"][0]))
    if "table" in params:
        weights = embed_fields(
            params["table"], features.ids, features.values, slot_fields
        )
        for b in range(len(logits)):
            logits[b] += sum(weight[0] for weight in weights[b])
    if "kernel" in params:
        kernel = np.asarray(params["kernel"], np.float64)
        for b, row in enumerate(np.asarray(features.dense, np.float64)):
            logits[b] += sum(x * w[0] for x, w in zip(row, kernel, strict=True))
    return logits


def linear(params, x):
    """[B, outputs] of x [B, inputs], with a bias if params have one."""
    kernel = np.asarray(params["kernel"], np.float64)
    bias = np.asarray(params.get("bias", np.zeros(kernel.shape[1])), np.float64)
    return np.array([row @ kernel + bias for row in x])


def mlp(params, x):
    """[B, last hidden_dim], of hidden layers without normalization."""
    for i in range(len(params)):
        layer = params[f"hidden_{i}"]
        kernel = np.asarray(layer["kernel"], np.float64)
        x = np.maximum(x @ kernel + np.asarray(layer["bias"], np.float64), 0)
    return x
