"""Read an expression of Qlib's grammar into a tree; nothing is evaluated but arithmetic between numbers.

Qlib 0.9.7 rewrites ``$close`` to ``Feature("close")`` and hands the text to Python, so the grammar is the part of
Python's expressions that Qlib's objects support: calls, ``+ - * / **``, one comparison, ``&`` and ``|`` with Python's
precedence.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from quant_pipeline.common.exceptions import FactorError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      |(?P<period>\$\$[\w\u3001\uff1a\uff08\uff09]+)
      |(?P<field>\$[\w\u3001\uff1a\uff08\uff09]+)
      |(?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      |(?P<text>'[^']*'|"[^"]*")
      |(?P<name>[^\W\d]\w*)
      |(?P<sign>\*\*|<=|>=|==|!=|[-+*/<>&|(),=])""",
    re.VERBOSE,
)
_COMPARISONS = {">": "Gt", ">=": "Ge", "<": "Lt", "<=": "Le", "==": "Eq", "!=": "Ne"}
_ARITHMETIC: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "+": ("Add", operator.add),
    "-": ("Sub", operator.sub),
    "*": ("Mul", operator.mul),
    "/": ("Div", operator.truediv),
    "**": ("Power", operator.pow),
    "&": ("And", operator.and_),
    "|": ("Or", operator.or_),
}


@dataclass(frozen=True)
class Constant:
    """A number or a text between quotes; a number that arithmetic gave counts as one."""

    value: float | int | str
    position: int


@dataclass(frozen=True)
class Field:
    """A column of the bars, ``$close``."""

    name: str
    position: int


@dataclass(frozen=True)
class Call:
    """An operator with its arguments, by position and by name."""

    operator: str
    arguments: tuple[Tree, ...]
    position: int
    named: dict[str, Tree] = field(default_factory=dict)


Tree = Constant | Field | Call


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


def parse(expression: str) -> Tree:
    """Read one expression.

    Parameters
    ----------
    expression
        Text in Qlib's grammar, such as ``Corr($close, Log($volume+1), 20)``.

    Returns
    -------
    Constant, Field or Call
        The tree; names of operators and fields are not checked yet.

    Raises
    ------
    FactorError
        With the position (counted from 1), when the text is no expression.
    """
    return _Parser(expression).parse()


def syntax_error(expression: str, position: int, problem: str) -> FactorError:
    """Describe a problem at a place of an expression; positions count from 1 for the reader."""
    return FactorError(f"{problem}, at position {position + 1} of '{expression}'")


class _Parser:
    def __init__(self, expression: str):
        self.expression = expression
        self.tokens = self._tokenize()
        self.place = 0

    def _tokenize(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self.expression):
            match = _TOKEN.match(self.expression, at)
            if match is None:
                raise self._error(at, f"unexpected character '{self.expression[at]}'")
            if match.lastgroup != "space":
                tokens.append(_Token(str(match.lastgroup), match.group(), at))
            at = match.end()
        return [*tokens, _Token("end", "", at)]

    def _error(self, position: int, problem: str) -> FactorError:
        return syntax_error(self.expression, position, problem)

    def parse(self) -> Tree:
        tree = self._comparison()
        if self.token.kind != "end":
            raise self._error(self.token.position, f"unexpected '{self.token.text}'")
        return tree

    @property
    def token(self) -> _Token:
        return self.tokens[self.place]

    def _take(self, *signs: str) -> _Token | None:
        """Return the next token and go on, when it is one of these signs."""
        token = self.token
        if token.kind == "sign" and token.text in signs:
            self.place += 1
            return token
        return None

    def _expect(self, sign: str) -> None:
        if self._take(sign) is None:
            found = f"'{self.token.text}'" if self.token.text else "the end"
            raise self._error(self.token.position, f"expected '{sign}' but found {found}")

    def _comparison(self) -> Tree:
        left = self._either()
        sign = self._take(*_COMPARISONS)
        if sign is None:
            return left
        tree = Call(_COMPARISONS[sign.text], (left, self._either()), sign.position)
        if self.token.text in _COMPARISONS:
            problem = "comparisons cannot be chained; join two of them with & and parentheses"
            raise self._error(self.token.position, problem)
        return tree

    def _either(self) -> Tree:
        return self._left_to_right(self._both, "|")

    def _both(self) -> Tree:
        return self._left_to_right(self._sum, "&")

    def _sum(self) -> Tree:
        return self._left_to_right(self._product, "+", "-")

    def _product(self) -> Tree:
        return self._left_to_right(self._signed, "*", "/")

    def _left_to_right(self, operand: Callable[[], Tree], *signs: str) -> Tree:
        tree = operand()
        while (sign := self._take(*signs)) is not None:
            tree = self._combine(sign, tree, operand())
        return tree

    def _combine(self, sign: _Token, left: Tree, right: Tree) -> Tree:
        name, calculate = _ARITHMETIC[sign.text]
        if not (isinstance(left, Constant) and isinstance(right, Constant)):
            return Call(name, (left, right), sign.position)
        try:
            value = calculate(left.value, right.value)
            is_number = not isinstance(value, complex) and math.isfinite(value)
        except (ArithmeticError, TypeError) as error:
            raise self._error(sign.position, f"cannot calculate {left.value} {sign.text} {right.value}") from error
        if not is_number:
            raise self._error(sign.position, f"{left.value} {sign.text} {right.value} is no finite number")
        return Constant(value, left.position)

    def _signed(self) -> Tree:
        sign = self._take("-", "+")
        if sign is None:
            return self._power()
        operand = self._signed()
        if isinstance(operand, Constant) and not isinstance(operand.value, str):
            return Constant(-operand.value if sign.text == "-" else operand.value, sign.position)
        raise self._error(sign.position, f"Qlib has no sign before an expression; write {sign.text}1*…")

    def _power(self) -> Tree:
        base = self._primary()
        sign = self._take("**")
        return base if sign is None else self._combine(sign, base, self._signed())

    def _primary(self) -> Tree:
        token = self.token
        if self._take("("):
            tree = self._comparison()
            self._expect(")")
            return tree
        self.place += 1
        if token.kind == "number":
            return Constant(self._number(token), token.position)
        if token.kind == "text":
            return Constant(token.text[1:-1], token.position)
        if token.kind == "field":
            return Field(token.text[1:], token.position)
        if token.kind == "name":
            return self._call(token)
        if token.kind == "period":
            problem = (
                f"{token.text} is a point-in-time field of Qlib's period database, which this engine does not read"
            )
            raise self._error(token.position, problem)
        raise self._error(
            token.position, f"unexpected '{token.text}'" if token.text else "the expression ends too early"
        )

    def _number(self, token: _Token) -> float | int:
        try:
            number = int(token.text) if re.fullmatch(r"[\d_]+", token.text) else float(token.text)
            is_held = math.isfinite(float(number))
        except ValueError as error:
            raise self._error(token.position, f"'{token.text}' is no number") from error
        except OverflowError:
            is_held = False
        if not is_held:
            raise self._error(token.position, f"the number {token.text[:20]}… is too large")
        return number

    def _call(self, name: _Token) -> Call:
        if self.token.text != "(":
            raise self._error(
                name.position, f"'{name.text}' is neither a field (${name.text}) nor a call ({name.text}(…))"
            )
        self._expect("(")
        arguments: list[Tree] = []
        named: dict[str, Tree] = {}
        while self._take(")") is None:
            if arguments or named:
                self._expect(",")
                if self._take(")"):
                    break
            key = self._keyword()
            if key is not None:
                named[key] = self._comparison()
            elif named:
                raise self._error(self.token.position, "an argument by position cannot follow one by name")
            else:
                arguments.append(self._comparison())
        return Call(name.text, tuple(arguments), name.position, named)

    def _keyword(self) -> str | None:
        token, following = self.token, self.tokens[min(self.place + 1, len(self.tokens) - 1)]
        if token.kind == "name" and following.text == "=":
            self.place += 2
            return token.text
        return None
