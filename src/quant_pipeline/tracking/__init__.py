"""What MLflow records of a run. Nothing here is imported before a pipeline runs: MLflow takes seconds to import."""
