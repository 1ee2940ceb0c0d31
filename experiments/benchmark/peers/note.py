"""AFM and AFM_Deep in PyTorch as the note gives them, written as a user would.

Two towers: a linear one over the dense columns, and attention pooling over all pairs of
fields, whose result AFM projects and AFM_Deep sends through an MLP. The pairs are
materialized by index lists; autograd does the rest.
"""

from collections.abc import Sequence

import torch
from torch import nn


class AttentionPooling(nn.Module):
    """sum_{i<j} a_ij (v_i * v_j), a the softmax over pairs of h^T relu(W (v_i * v_j) + b)."""

    def __init__(self, num_fields: int, embedding_dim: int, attention_dim: int):
        super().__init__()
        first, second = torch.combinations(torch.arange(num_fields)).unbind(1)
        self.register_buffer("first", first)
        self.register_buffer("second", second)
        self.attention = nn.Linear(embedding_dim, attention_dim)
        self.query = nn.Linear(attention_dim, 1, bias=False)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """float32 [B, k] of float32 [B, F, k]."""
        products = vectors[:, self.first] * vectors[:, self.second]
        scores = self.query(torch.relu(self.attention(products)))
        return (torch.softmax(scores, dim=1) * products).sum(dim=1)


class AFM(nn.Module):
    """logits = w_0 + sum_i w_i d_i + p^T pooled, d the dense columns."""

    def __init__(
        self,
        vocab_size: int,
        num_fields: int,
        num_dense: int,
        embedding_dim: int,
        attention_dim: int,
        hidden_dims: Sequence[int] = (),
    ):
        """With hidden layers it is AFM_Deep: logits = w_0 + sum_i w_i d_i + MLP(pooled)."""
        super().__init__()
        self.linear = nn.Linear(num_dense, 1)
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        self.pooling = AttentionPooling(num_fields, embedding_dim, attention_dim)
        layers: list[nn.Module] = []
        width = embedding_dim
        for hidden_dim in hidden_dims:
            layers += [nn.Linear(width, hidden_dim), nn.ReLU()]
            width = hidden_dim
        self.deep = nn.Sequential(*layers, nn.Linear(width, 1, bias=False))

    def forward(self, ids: torch.Tensor, dense: torch.Tensor) -> torch.Tensor:
        """Logits, float32 [B], of global ids [B, F] and dense columns [B, D]."""
        pooled = self.pooling(self.embedding(ids))
        return (self.linear(dense) + self.deep(pooled)).squeeze(1)
