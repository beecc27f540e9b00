"""The stages of the project, one package each; its `pipeline.py` reads as a table."""
