"""Conditions: what holds where one is true, and where it is false."""

import ast

from seedtune.domains.bgp.lint.compare import CompareRules
from seedtune.domains.bgp.lint.state import State
from seedtune.domains.bgp.lint.values import (
    ALL_TYPES,
    Const,
    Container,
    FieldValue,
    Proof,
    TypeOf,
    TypeTest,
    Value,
)
from seedtune.domains.bgp.lint.walker import MOST_DEPTH

Split = tuple[State, State]
"""What holds where a condition is true, and where it is false."""

_INVERSE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


class Conditions(CompareRules):
    """What follows from conditions."""

    def narrow(self, node: ast.expr, state: State) -> Split:
        """What holds where a condition is true and where it is false."""
        self.step()
        if self._depth >= MOST_DEPTH:
            return self.fork(state), self.fork(state)
        self._depth += 1
        try:
            if isinstance(node, ast.BoolOp):
                return self._narrow_all(node, state)
            if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
                opposite = inverted(node.operand)
                if opposite is not None:
                    return self.narrow(opposite, state)
                yes, no = self.narrow(node.operand, state)
                return no, yes
            return self.split(self.value(node, state), node, state)
        finally:
            self._depth -= 1

    def _narrow_all(self, node: ast.BoolOp, state: State) -> Split:
        both = isinstance(node.op, ast.And)
        outer = self._quiet
        self._quiet += not both
        current, left_out = self.fork(state), list[State]()
        for operand in node.values:
            yes, no = self.narrow(operand, current)
            current = yes if both else no
            left_out.append(no if both else yes)
        self._quiet = outer
        if both:
            return current, self.meet(*left_out)
        self._check_alternatives(node, state)
        return self.meet(*left_out), current

    def _check_alternatives(self, node: ast.BoolOp, state: State) -> None:
        """Judge ``elem.type == "A" or elem.type == "R"`` as a whole."""
        if self._quiet:
            return
        self._quiet += 1
        tests = [self.value(operand, self.fork(state)) for operand in node.values]
        self._quiet -= 1
        elements = {test.element for test in tests if isinstance(test, TypeTest) and test.yes == test.chosen}
        if len(elements) == 1 and all(isinstance(test, TypeTest) and test.yes == test.chosen for test in tests):
            wanted = frozenset[str]().union(*(test.yes for test in tests if isinstance(test, TypeTest)))
            element = elements.pop()
            self.check_possible(TypeOf(element, self._stream_of.get(element, -1)), wanted, node, state)

    def split(self, value: Value, node: ast.expr, state: State) -> Split:
        """What holds where a value is true and where it is false."""
        yes, no = self.fork(state), self.fork(state)
        match value:
            case TypeTest():
                self.narrow_to(value, value.yes, node, yes)
                self.narrow_to(value, value.no, node, no)
            case FieldValue(proof=Proof() as proof) | Container(proof=Proof() as proof):
                self.narrow_to(TypeTest(proof.element, proof.types, ALL_TYPES, "field"), proof.types, node, yes)
            case Const(truth) if isinstance(node, ast.Constant):
                (no if truth else yes).dead = True
            case _:
                pass
        return yes, no


def inverted(node: ast.expr) -> ast.Compare | None:
    """``not a == b`` as ``a != b``."""
    if not isinstance(node, ast.Compare) or len(node.ops) != 1 or type(node.ops[0]) not in _INVERSE:
        return None
    return ast.copy_location(ast.Compare(node.left, [_INVERSE[type(node.ops[0])]()], node.comparators), node)


def combined(tests: list[TypeTest], both: bool, complete: bool) -> TypeTest:
    """Several tests of one element joined by ``and`` (both) or ``or``; not complete if other operands stand there."""
    yes, no = tests[0].yes, tests[0].no
    for test in tests[1:]:
        yes = yes & test.yes if both else yes | test.yes
        no = no | test.no if both else no & test.no
    if not complete:
        yes, no = (yes, ALL_TYPES) if both else (ALL_TYPES, no)
    unclear = any(test.cause == "unclear" for test in tests)
    cause = "unclear" if unclear else tests[0].cause
    return TypeTest(tests[0].element, yes, no, cause, frozenset[str]().union(*(test.chosen for test in tests)))
