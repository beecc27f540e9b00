"""Networks that are computed by groups of instruments, one of each kind, and what they read."""

import torch

from quant_pipeline.models.algorithms.networks import (
    ALSTMHyper,
    GATsHyper,
    GRUHyper,
    LocalformerHyper,
    LSTMHyper,
    MLPHyper,
    SFMHyper,
    TCNHyper,
    TRAHyper,
    TransformerHyper,
)

FACTORS, SESSIONS, INSTRUMENTS = 3, 6, 8
STILL = {"dropout": 0.0}
DIVIDED = {
    "mlp": MLPHyper(window=2, hidden=[8], **STILL),
    "gru": GRUHyper(window=4, hidden=8, layers=2, **STILL),
    "lstm": LSTMHyper(window=4, hidden=8, **STILL),
    "alstm": ALSTMHyper(window=4, hidden=8, **STILL),
    "tcn": TCNHyper(channels=8, kernel=2, levels=2, **STILL),
    "transformer": TransformerHyper(hidden=8, span=3, feedforward=16, **STILL),
    "localformer": LocalformerHyper(hidden=8, layers=1, span=3, kernel=2, feedforward=16, **STILL),
    "sfm": SFMHyper(window=4, hidden=8, frequencies=3, **STILL),
    "folded": GRUHyper(row_sessions=3, window=3, hidden=8, **STILL),
    "gats": GATsHyper(window=4, hidden=8, **STILL),
    "folded gats": GATsHyper(row_sessions=3, window=3, hidden=8, **STILL),
    "tra": TRAHyper(window=4, hidden=8, **STILL),
    "folded tra": TRAHyper(row_sessions=3, window=3, hidden=8, **STILL),
}


def block_of(instruments=INSTRUMENTS, window=1):
    return torch.randn(window - 1 + SESSIONS, instruments, FACTORS, generator=torch.Generator().manual_seed(3))
