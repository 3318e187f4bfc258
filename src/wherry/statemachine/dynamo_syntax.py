"""DynamoDB's expressions, read: tokens, paths and operands."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import msgspec

from wherry import limits
from wherry.statemachine.dynamo_values import Invalid

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[#:]?[A-Za-z_][A-Za-z0-9_-]*|#[A-Za-z0-9_]+|:[A-Za-z0-9_]+)"
    r"|(?P<number>\d+)|(?P<mark><>|<=|>=|[=<>(),.\[\]+-]))"
)
Step: TypeAlias = str | int


class Path(msgspec.Struct, frozen=True):
    """Where a value stands in an item: `a.b[0]`."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in self.steps)[1:]

    def find(self, item: Any) -> Any:
        """Return the value; raise KeyError where there is none."""
        for step in self.steps:
            named = isinstance(item, dict) and isinstance(step, str) and step in item
            if not named and not (
                isinstance(item, list) and isinstance(step, int) and step < len(item)
            ):
                raise KeyError(str(self))
            item = item[step]
        return item


class Value(msgspec.Struct, frozen=True):
    """A value that came with the request."""

    value: Any


class Apply(msgspec.Struct, frozen=True):
    """A function of paths and values: attribute_exists, size, if_not_exists ..."""

    name: str
    operands: tuple[Any, ...]


Operand: TypeAlias = Path | Value | Apply


class Reader:
    """Goes through the tokens of one expression.

    Args:
        kind: `ConditionExpression`, for what goes wrong.
        text: The expression.
        names: ExpressionAttributeNames.
        values: ExpressionAttributeValues, as JSON.
    """

    def __init__(self, kind: str, text: Any, names: dict[str, str], values: dict[str, Any]) -> None:
        if not isinstance(text, str) or not text.strip():
            raise Invalid(f"Invalid {kind}: The expression can not be empty;")
        if len(text) > limits.STATE_ITEM_EXPRESSION:
            raise Invalid(f"Invalid {kind}: Expression size has exceeded the maximum allowed size;")
        self.kind = kind
        self.names, self.values = names, values
        self.used: set[str] = set()
        self._tokens = self._cut(text.rstrip())
        self._at = 0
        self._depth = 0

    def _cut(self, text: str) -> list[str]:
        found, at = [], 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self.wrong(text[at:].strip()[:1])
            found.append(match.group().strip())
            at = match.end()
        return found

    def wrong(self, token: str) -> Invalid:
        """Return the error of a token that may not stand where it does."""
        shown = token or "<EOF>"
        return Invalid(f'Invalid {self.kind}: Syntax error; token: "{shown}"')

    # --- tokens -------------------------------------------------------------------------------

    def peek(self) -> str:
        """Return the next token, or ""."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self) -> str:
        """Return the next token and go on."""
        token = self.peek()
        if not token:
            raise self.wrong("")
        self._at += 1
        return token

    def is_word(self, word: str) -> bool:
        """Whether the next token is this word, in whatever case."""
        return self.peek().upper() == word

    def skip(self, *wanted: str) -> bool:
        """Go past the next token if it is one of these."""
        if self.peek().upper() in wanted:
            self._at += 1
            return True
        return False

    def expect(self, token: str) -> None:
        """Go past this token.

        Raises:
            Invalid: Another one stands there.
        """
        if not self.skip(token):
            raise self.wrong(self.peek())

    def deeper(self, by: int = 1) -> None:
        """Count how deeply expressions stand within each other."""
        self._depth += by
        if self._depth > limits.STATE_ITEM_DEPTH:
            raise Invalid(f"Invalid {self.kind}: The expression is nested too deeply;")

    # --- operands -----------------------------------------------------------------------------

    def operand(self) -> Operand:
        """Read a path, a value or a function's call."""
        token = self.peek()
        if token.startswith(":"):
            return Value(self.value())
        following = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else ""
        if following == "(" and token[:1].isalpha():
            return self.call()
        return self.path()

    def value(self) -> Any:
        """Read `:name`."""
        token = self.take()
        if not token.startswith(":"):
            raise self.wrong(token)
        if token not in self.values:
            raise Invalid(
                f"Invalid {self.kind}: An expression attribute value used in expression is not"
                f" defined; attribute value: {token}"
            )
        self.used.add(token)
        return self.values[token]

    def path(self) -> Path:
        """Read `a.b[0]`."""
        steps: list[Step] = [self._name()]
        while True:
            if self.skip("."):
                steps.append(self._name())
            elif self.skip("["):
                index = self.take()
                if not index.isdigit():
                    raise self.wrong(index)
                steps.append(int(index))
                self.expect("]")
            else:
                return Path(tuple(steps))

    def _name(self) -> str:
        token = self.take()
        if token.startswith("#"):
            if token not in self.names:
                raise Invalid(
                    f"Invalid {self.kind}: An expression attribute name used in the document path"
                    f" is not defined; attribute name: {token}"
                )
            self.used.add(token)
            return self.names[token]
        if not (token[0].isalpha() or token[0] == "_"):
            raise self.wrong(token)
        return token

    def call(self) -> Apply:
        """Read `size(a)`."""
        self.deeper()
        name = self.take()
        self.expect("(")
        operands = [self.operand()]
        while self.skip(","):
            operands.append(self.operand())
        self.expect(")")
        self.deeper(-1)
        return Apply(name, tuple(operands))

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self.peek():
            raise self.wrong(self.peek())


def unused(names: dict[str, str], values: dict[str, Any], used: set[str]) -> None:
    """Refuse names and values that no expression uses, as DynamoDB does."""
    for what, given in (("ExpressionAttributeValues", values), ("ExpressionAttributeNames", names)):
        left = sorted(one for one in given if one not in used)
        if left:
            raise Invalid(
                f"Value provided in {what} unused in expressions: keys: {{{', '.join(left)}}}"
            )
