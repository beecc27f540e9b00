"""Jinja2 templates of pages, read from ``templates/``; what is put into them is escaped unless it is markup."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.environment import TemplateModule
from markupsafe import Markup


def render(template: str, **values: Any) -> str:
    """Fill a template; a value that it asks for and does not get is an error."""
    return _environment().get_template(template).render(values)


def call_macro(name: str, *values: Any) -> Markup:
    """Call a macro of ``elements.html``."""
    written: Markup = getattr(_elements(), name)(*values)
    return written


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("quant_pipeline.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        auto_reload=False,
    )


@cache
def _elements() -> TemplateModule:
    return _environment().get_template("elements.html").module
