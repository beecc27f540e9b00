"""The rooms of the project: one package per stage, each `pipeline.py` reads as a table."""
