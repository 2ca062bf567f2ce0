"""The mutants of a module: every small change of its syntax tree that mutation testing may make."""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

# Words that are easily taken for one another, each for the next of its line: in names, attributes and strings.
WORDS = (
    ("train", "dev", "test"),
    ("question", "passage"),
    ("questions", "passages"),
    ("labels", "positives"),
    ("qa", "nli"),
    ("near", "exact", "off"),
    ("min", "max"),
    ("any", "all"),
    ("argmax", "argmin"),
    ("mean", "sum"),
    ("first", "last"),
    ("before", "after"),
)
SWAPS = {word: (*words, *words)[place + 1] for words in WORDS for place, word in enumerate(words)}
COMPARED = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
}
CALCULATED = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "/",
    ast.Mod: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
    ast.Pow: "*",
}
EQUALS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)  # bind as tightly as what they become
SIMPLE = (ast.Name, ast.Constant, ast.Attribute, ast.Call, ast.Subscript, ast.List, ast.Dict, ast.Set)
CHANGED_THEMSELVES = (ast.Compare, ast.BoolOp, ast.UnaryOp)
LEFT_OUT = {"annotation", "returns", "decorator_list", "bases", "type_params"}  # parts of a node without a result
SKIPPED = (ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Assert, ast.expr_context)


@dataclass(frozen=True)
class Mutant:
    """A changed module: the kind of change, its first line (from 1), the lines changed before and after, the source.

    `name` tells it from every other mutant of the module.
    """

    what: str
    line: int
    old: str
    new: str
    source: str
    place: str

    @property
    def name(self) -> str:
        """Where it lies and what becomes of it; does not change when other lines do."""
        return f"{self.place}: {self.old} → {self.new}"


@dataclass(frozen=True)
class Edit:
    """Bytes `start` to `end` of a source replaced by a text."""

    what: str
    start: int
    end: int
    text: str


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a module's source that compiles and is another program, in the order of the source."""
    tree, found, seen = ast.parse(source), [], {ast.dump(ast.parse(source))}
    for function, edit in Source(source).edits(tree):
        data = source.encode()
        changed = (data[: edit.start] + edit.text.encode() + data[edit.end :]).decode()
        try:
            shape = ast.dump(ast.parse(changed))
        except SyntaxError:
            continue
        if shape not in seen:
            seen.add(shape)
            found.append(_told(source, changed, edit, function))
    again: Counter[str] = Counter()
    for place, mutant in enumerate(found):
        again[mutant.name] += 1
        if again[mutant.name] > 1:  # the same line twice in a function
            found[place] = replace(mutant, place=f"{mutant.place} {again[mutant.name]}")
    return found


def _told(source: str, changed: str, edit: Edit, function: str) -> Mutant:
    """The mutant with the lines that an edit touches."""
    data = source.encode()
    before, last = data[: edit.start].count(b"\n"), data[: edit.end].count(b"\n")
    old = source.splitlines()[before : last + 1]
    new = changed.splitlines()[before : last + 1 + len(changed.splitlines()) - len(source.splitlines())]
    one, other = (" ".join(" ".join(lines).split()) for lines in (old, new))
    return Mutant(edit.what, before + 1, one, other, changed, function)


class Source:
    """A module's source and the edits of its nodes."""

    def __init__(self, source: str) -> None:
        self.data = source.encode()
        self.starts = [0]
        for line in self.data.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def edits(self, tree: ast.Module) -> Iterator[tuple[str, Edit]]:
        """Every edit, with the name of the function or class that it lies in."""
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Subscript):
                continue  # a type's name
            if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
                continue
            place = getattr(statement, "name", "")
            names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)} | {*dir(builtins)}
            for node in _walk(statement):
                for edit in self._of(node, names | attributes):
                    yield place, edit

    def _span(self, node: ast.AST) -> tuple[int, int]:
        """The bytes of a node: start and end."""
        assert isinstance(node, ast.expr | ast.stmt | ast.keyword)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self.starts[node.lineno - 1] + node.col_offset
        return start, self.starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self.data[start:end].decode()

    def _inner(self, node: ast.AST) -> str:
        """A node's text as a part of another expression."""
        return self._text(node) if isinstance(node, SIMPLE) else f"({self._text(node)})"

    def _put(self, what: str, node: ast.AST, text: str) -> Edit:
        return Edit(what, *self._span(node), text)

    def _of(self, node: ast.AST, names: set[str]) -> Iterator[Edit]:
        match node:
            case ast.Compare(ops=[operator], left=left, comparators=[right]):
                for other in COMPARED[type(operator)]:
                    yield self._put("comparison", node, f"{self._inner(left)} {other} {self._inner(right)}")
            case ast.Compare():
                for place in range(len(node.ops)):
                    yield from self._chained(node, place)
            case ast.BoolOp(op=operator, values=values):
                other = " or " if isinstance(operator, ast.And) else " and "
                yield self._put("and / or", node, f"({other.join(map(self._inner, values))})")
            case ast.BinOp(op=operator, left=left, right=right) if type(operator) in CALCULATED:
                text = f"{self._inner(left)} {CALCULATED[type(operator)]} {self._inner(right)}"
                yield self._put("arithmetic", node, text if type(operator) in EQUALS else f"({text})")
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
                yield self._put("sign or not dropped", node, self._inner(operand))
            case ast.Constant(value=bool() as value):
                yield self._put("constant", node, str(not value))
            case ast.Constant(value=int() as value):
                yield self._put("constant", node, f"{value + 1}")
                yield self._put("constant", node, f"{value - 1}")
            case ast.Constant(value=float() as value):
                yield self._put("constant", node, repr(value * 2))
                yield self._put("constant", node, repr(value / 2))
            case ast.Constant(value=str() as value) if value in SWAPS:
                yield self._put("word", node, repr(SWAPS[value]))
            case ast.Name(id=name) if SWAPS.get(name) in names:
                yield self._put("word", node, SWAPS[name])
            case ast.Attribute(attr=name, value=value) if SWAPS.get(name) in names:
                yield self._put("word", node, f"{self._text(value)}.{SWAPS[name]}")
            case ast.FunctionDef():
                yield from self._parameters(node)
            case ast.Call():
                yield from self._call(node)
            case ast.Tuple(ctx=ast.Load()) | ast.List(ctx=ast.Load()) | ast.Set():
                yield from self._elements(node)
            case ast.comprehension(ifs=conditions):
                for condition in conditions:
                    yield self._put("condition dropped", condition, "True")
            case ast.If(test=test) | ast.IfExp(test=test) if not isinstance(
                test, ast.Compare | ast.BoolOp | ast.UnaryOp
            ):
                yield self._put("condition negated", test, f"not {self._inner(test)}")
            case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()) | ast.AugAssign() | ast.Raise():
                yield self._put("statement dropped", node, "pass")
            case ast.Continue() | ast.Break() | ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
                yield self._put("statement dropped", node, "pass")
            case ast.With(items=[item]) if item.optional_vars is None:
                start, end = self._span(item.context_expr)
                yield Edit("statement dropped", start, end, "__import__('contextlib').nullcontext()")

    def _chained(self, node: ast.Compare, place: int) -> Iterator[Edit]:
        """a < b < c, one of its comparisons changed."""
        sides = [self._inner(side) for side in (node.left, *node.comparators)]
        signs = [_SIGNS[type(operator)] for operator in node.ops]
        for other in COMPARED[type(node.ops[place])]:
            changed = [other if at == place else sign for at, sign in enumerate(signs)]
            text = sides[0] + "".join(f" {sign} {side}" for sign, side in zip(changed, sides[1:], strict=True))
            yield self._put("comparison", node, text)

    def _call(self, node: ast.Call) -> Iterator[Edit]:
        """Two neighbouring arguments swapped, a keyword dropped."""
        for one, other in zip(node.args, node.args[1:], strict=False):
            if not isinstance(one, ast.Starred) and not isinstance(other, ast.Starred):
                (start, middle), (again, end) = self._span(one), self._span(other)
                text = self._text(other) + self.data[middle:again].decode() + self._text(one)
                yield Edit("arguments swapped", start, end, text)
        for keyword in node.keywords:
            if keyword.arg == "strict":  # of zip: sees a mistake of ours, and changes no result
                continue
            start, end = self._span(keyword)
            after = re.match(rb"\s*,\s*", self.data[end:])
            before = re.search(rb",\s*$", self.data[:start])
            if after:
                end += after.end()
            elif before:
                start = before.start()
            yield Edit("keyword dropped", start, end, "")

    def _elements(self, node: ast.Tuple | ast.List | ast.Set) -> Iterator[Edit]:
        """One element of several dropped."""
        for place in range(len(node.elts)) if len(node.elts) > 1 else ():
            left = [self._text(element) for at, element in enumerate(node.elts) if at != place]
            opened, closed = {ast.Tuple: ("(", ",)"), ast.List: ("[", "]"), ast.Set: ("{", "}")}[type(node)]
            yield self._put("element dropped", node, f"{opened}{', '.join(left)}{closed}")

    def _parameters(self, node: ast.FunctionDef) -> Iterator[Edit]:
        """A use of one parameter replaced by another one of the same type."""
        types = {
            one.arg: ast.unparse(one.annotation)
            for one in (*node.args.args, *node.args.kwonlyargs)
            if one.annotation is not None
        }
        for use in (use for statement in node.body for use in _walk(statement)):
            if isinstance(use, ast.Name) and isinstance(use.ctx, ast.Load) and use.id in types:
                alike = [name for name, kind in types.items() if kind == types[use.id]]
                if len(alike) > 1:
                    other = (*alike, *alike)[alike.index(use.id) + 1]
                    yield self._put("word", use, other)


_SIGNS = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
}


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it whose change can change a result: no annotations, messages of errors, imports."""
    yield node
    if isinstance(node, ast.Raise) or (isinstance(node, ast.keyword) and node.arg == "strict"):
        return
    for name, value in ast.iter_fields(node):
        if isinstance(node, ast.AnnAssign) and name == "target":
            continue  # a field's name
        for child in value if isinstance(value, list) else [value]:
            if name not in LEFT_OUT and isinstance(child, ast.AST) and not isinstance(child, SKIPPED):
                yield from _walk(child)
