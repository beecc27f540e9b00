"""Secrets that a file of the configuration spells out instead of referring to them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from quant_pipeline.common.secret_names import names_a_secret

REFERENCE = re.compile(r"\$\{[^{}]+(\{.*\})?[^{}]*\}")
LITERAL_DEFAULT = re.compile(r"""\$\{\s*[\w.]+\s*:[^,{}]*,\s*(?!null\b|''|""|\$\{|\})\S""")
"""What OmegaConf takes when that which a reference names is not set."""
PASSWORD_OF_ADDRESS = re.compile(r"://[^/\s:@]*:(?!\$\{)[^/\s@]+@")
NO_SECRETS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "float")}
NOT_SET = ("", "???")
"""Nothing, and what OmegaConf takes for a value that is missing."""


def find_literal_secrets(text: str) -> list[str]:
    """Name the keys whose values are secrets.

    Parameters
    ----------
    text
        YAML or JSON, of any number of documents. A key that is written twice counts twice.

    Returns
    -------
    list of str
        Paths such as ``alpaca.api_key``, in order: texts and whole numbers below a name of a secret that are no
        reference ``${…}``, and addresses with a password in them.

    Raises
    ------
    yaml.YAMLError
        When it is neither.
    """
    return [key for document in yaml.compose_all(text, yaml.SafeLoader) for key in _secrets_in(document, "", False, ())]


def _secrets_in(node: yaml.Node, path: str, is_secret: bool, above: tuple[int, ...]) -> Iterator[str]:
    if id(node) in above:
        return  # An alias of what it is part of.
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            key = str(name.value) if isinstance(name, yaml.ScalarNode) else "?"
            yield from _secrets_in(value, f"{path}.{key}".lstrip("."), is_secret or names_a_secret(key), above)
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _secrets_in(part, path, is_secret, above)
    elif isinstance(node, yaml.ScalarNode) and _is_literal(node, is_secret):
        yield path


def _is_literal(node: yaml.ScalarNode, is_secret: bool) -> bool:
    text = node.value.strip()
    if PASSWORD_OF_ADDRESS.search(text):
        return True
    if not is_secret or node.tag in NO_SECRETS or text in NOT_SET:
        return False
    return REFERENCE.search(text) is None or LITERAL_DEFAULT.search(text) is not None
