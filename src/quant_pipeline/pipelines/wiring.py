"""How nodes are wired: by name, and with records where values travel together.

Kedro hands over datasets one by one. A node that needs a dozen of them says which record they make, and a decorator
puts it together; Kedro still sees every dataset with its type.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, TypeVar, cast, get_type_hints

Result = TypeVar("Result")


def by_name(*datasets: str, **others: str) -> dict[str, str]:
    """Wire datasets to the arguments of their names, and the others to the arguments that are written before them.

    Examples
    --------
    >>> by_name("bars", "params:strategy", events="ledger_booked")
    {'bars': 'bars', 'strategy': 'params:strategy', 'events': 'ledger_booked'}
    """
    return {dataset.removeprefix("params:"): dataset for dataset in datasets} | others


def takes_records(**makers: Callable[..., Any]) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Let a function be called with the parts of its records.

    Parameters
    ----------
    **makers
        Argument of the function, and what makes the record from its parts: a data class, or a function, which may take
        records itself.

    Returns
    -------
    Callable
        Decorator. The decorated function takes, in the place of each record, the arguments of its maker; arguments of
        one name are one argument. Its signature and its types say so.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Span:
    ...     first: int
    ...     last: int
    >>> @takes_records(span=Span)
    ... def length(name: str, span: Span) -> str:
    ...     return f"{name}: {span.last - span.first}"
    >>> str(inspect.signature(length).replace(return_annotation=str))
    '(name: str, first: int, last: int) -> str'
    >>> length("walk", first=3, last=10)
    'walk: 7'
    """
    parts = {record: _parameters_of(maker) for record, maker in makers.items()}

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        own = _parameters_of(function)
        if unknown := makers.keys() - own.keys():
            raise TypeError(f"{function.__qualname__} has no arguments {sorted(unknown)} that could be records")
        flat = _flatten(own, parts)

        @wraps(function)
        def assembling(*args: Any, **kwargs: Any) -> Result:
            bound = flat.bind(*args, **kwargs)
            bound.apply_defaults()
            given: dict[str, Any] = {}
            for name, parameter in own.items():
                if name in makers:
                    given[name] = makers[name](**{part: bound.arguments[part] for part in parts[name]})
                elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    given |= bound.arguments[name]
                else:
                    given[name] = bound.arguments[name]
            return function(**given)

        @wraps(function)
        def yielding(*args: Any, **kwargs: Any) -> Iterator[Any]:
            yield from cast(Iterator[Any], assembling(*args, **kwargs))

        # Kedro saves what a generator yields piece by piece, and looks at the function to know that it is one.
        wrapper: Any = yielding if inspect.isgeneratorfunction(function) else assembling
        types = {name: each.annotation for name, each in flat.parameters.items()}
        vars(wrapper)["__signature__"] = flat
        wrapper.__annotations__ = types | {"return": get_type_hints(function).get("return", Any)}
        return cast(Callable[..., Result], wrapper)

    return decorate


def _parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the arguments of a function or a data class, with types in place of their names."""
    types = get_type_hints(function)
    return {
        name: parameter.replace(annotation=types.get(name, Any))
        for name, parameter in inspect.signature(function).parameters.items()
    }


def _flatten(
    own: Mapping[str, inspect.Parameter], parts: Mapping[str, Mapping[str, inspect.Parameter]]
) -> inspect.Signature:
    """Put the parts of each record in its place; what has a default comes after what has none."""
    flat: dict[str, inspect.Parameter] = {}
    for name, parameter in own.items():
        for part, each in parts.get(name, {name: parameter}).items():
            flat.setdefault(part, each)
    ordered = sorted(flat.values(), key=lambda each: (each.kind, each.default is not inspect.Parameter.empty))
    return inspect.Signature(ordered)
