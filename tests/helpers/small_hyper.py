"""Hyper-parameters of every algorithm for a panel of twenty instruments: seconds instead of minutes."""

NETWORK = {"batch_sessions": 10}
HYPER = {
    "lightgbm": {"rounds": 60, "patience": 20, "min_data_in_leaf": 20, "lambda_l2": 1.0, "threads": 1},
    "ridge": {},
    "qlib": {},
    "signal": {},
    "elastic_net": {"alpha": 0.001},
    "double_ensemble": {"rounds": 20, "models": 2, "min_data_in_leaf": 20, "lambda_l2": 1.0, "threads": 1},
    "xgboost": {"rounds": 40, "patience": 20, "min_child_weight": 20, "lambda_l2": 1.0, "threads": 1},
    "catboost": {"rounds": 40, "patience": 20, "max_depth": 4, "lambda_l2": 1.0, "threads": 1},
    "mlp": {**NETWORK, "hidden": [8], "epochs": 4, "learning_rate": 0.02},
    "gru": {**NETWORK, "window": 4, "hidden": 8, "epochs": 4, "learning_rate": 0.03},
    "lstm": {**NETWORK, "window": 4, "hidden": 8, "epochs": 4, "learning_rate": 0.03},
    "alstm": {**NETWORK, "window": 4, "hidden": 8, "epochs": 4, "learning_rate": 0.03},
    "gats": {**NETWORK, "window": 4, "hidden": 8, "epochs": 4, "learning_rate": 0.03},
    "tra": {**NETWORK, "window": 4, "hidden": 8, "epochs": 4, "learning_rate": 0.03},
    "transformer": {**NETWORK, "hidden": 8, "feedforward": 16, "span": 3, "epochs": 4, "learning_rate": 0.02},
    "localformer": {**NETWORK, "hidden": 8, "feedforward": 16, "span": 2, "epochs": 4, "learning_rate": 0.02},
    "tabnet": {
        **NETWORK,
        "decision": 8,
        "attention": 8,
        "steps": 2,
        "ghost_rows": 64,
        "epochs": 6,
        "learning_rate": 0.03,
    },
    "sfm": {**NETWORK, "window": 4, "hidden": 8, "frequencies": 3, "epochs": 4, "learning_rate": 0.03},
    "tcn": {**NETWORK, "channels": 8, "levels": 1, "epochs": 4, "learning_rate": 0.02},
}
