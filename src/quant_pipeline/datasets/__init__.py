"""Kedro datasets of this project: the only places where market, bundle and account files are touched."""
