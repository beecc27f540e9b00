"""How Kedro runs the project: configuration, hooks, the registry of models."""
