"""Reads one Python source file in several passes. Pure: bytes in, a document out; no files, no clock."""

from __future__ import annotations

import ast
import hashlib
import io
import math
import random
import tokenize
import warnings
from collections import Counter
from typing import Any

Document = dict[str, Any]
Function = ast.FunctionDef | ast.AsyncFunctionDef

SHINGLE_TOKENS = 5
"""Tokens in a row that make one shingle of the fingerprint."""
_PRIME = (1 << 61) - 1
_BRANCHES = (
    ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.With, ast.AsyncWith, ast.Assert,
    ast.comprehension, ast.match_case,
)  # fmt: skip
_NESTING = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_LAYOUT = frozenset({tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT})


def analyse(content: bytes, hashes: int) -> Document:
    """Everything the index says of one file.

    Args:
        content: the file as it lies on the disk.
        hashes: hash functions of the fingerprint; more find likeness more exactly and take longer.

    Raises:
        SyntaxError: this Python cannot parse it, or does not know its encoding.
        ValueError: it has a NUL in it.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    text = content.decode(encoding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = Tree(ast.parse(content))
    tokens = list(tokenize.tokenize(io.BytesIO(content).readline))
    return {
        "encoding": encoding,
        "size_bytes": len(content),
        "definitions": definitions(tree),
        "imports": imports(tree),
        "functions": functions(tree),
        "names": names(tree),
        "docstrings": docstrings(tree),
        "tokens": token_statistics(tokens),
        "lines": line_statistics(text),
        "clones": bodies(tree),
        "fingerprint": fingerprint(tokens, hashes),
    }


class Tree:
    """A syntax tree laid out flat, parents before children, so that every pass is one loop.

    Attributes:
        nodes: all of them; the module comes first.
        parents: the place in ``nodes`` of each one's parent; the module is its own.
    """

    def __init__(self, module: ast.Module) -> None:
        self.nodes: list[ast.AST] = [module]
        self.parents = [0]
        for at, node in enumerate(self.nodes):
            for child in ast.iter_child_nodes(node):
                self.nodes.append(child)
                self.parents.append(at)


def definitions(tree: Tree) -> list[Document]:
    """Every class and function: its full name, where it is, what it takes."""
    found: list[Document] = []
    scopes = [""] * len(tree.nodes)
    for at, (node, parent) in enumerate(zip(tree.nodes, tree.parents, strict=True)):
        scopes[at] = scopes[parent]
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        name = f"{scopes[parent]}{node.name}"
        scopes[at] = f"{name}."
        entry: Document = {"name": name, "line": node.lineno, "lines": _length(node)}
        if isinstance(node, ast.ClassDef):
            entry |= {"kind": "class", "bases": [ast.unparse(base) for base in node.bases]}
        else:
            entry |= {"kind": "function", "parameters": [argument.arg for argument in _arguments(node)]}
        entry["decorators"] = [ast.unparse(decorator) for decorator in node.decorator_list]
        found.append(entry)
    return found


def imports(tree: Tree) -> list[str]:
    """Modules that are imported anywhere in the file; relative ones keep their dots."""
    found: set[str] = set()
    for node in tree.nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return sorted(found)


def functions(tree: Tree) -> list[Document]:
    """Each function's cyclomatic complexity (McCabe: one, and one more for each branch) and how many blocks lie within
    each other in it, the most complex first."""
    branches = [_branches(node) for node in tree.nodes]
    depths = [0] * len(tree.nodes)
    rows: list[Document] = []
    # From the leaves up: when a node is reached, its children have added what is below them.
    for at in range(len(tree.nodes) - 1, 0, -1):
        node, parent = tree.nodes[at], tree.parents[at]
        depths[at] += isinstance(node, _NESTING)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            row = {"name": node.name, "line": node.lineno, "complexity": branches[at] + 1, "depth": depths[at]}
            rows.append(row)
        branches[parent] += branches[at]
        depths[parent] = max(depths[parent], depths[at])
    return sorted(rows, key=lambda row: (-row["complexity"], row["line"]))


def names(tree: Tree) -> Document:
    """Identifiers: how many are written and read, the most frequent, what is imported and never read."""
    written: Counter[str] = Counter()
    read: Counter[str] = Counter()
    brought: set[str] = set()
    for node in tree.nodes:
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else written)[node.id] += 1
        elif isinstance(node, ast.Attribute):
            read[node.attr] += 1
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            brought.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
    unread = sorted(brought - read.keys() - {"*", "annotations"})
    return {"written": len(written), "read": len(read), "frequent": read.most_common(10), "unread_imports": unread}


def docstrings(tree: Tree) -> Document:
    """Who has one, how long they are, and the words that stand out."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    places = [node for node in tree.nodes if isinstance(node, kinds)]
    texts = [text for node in places if (text := ast.get_docstring(node))]
    words = Counter(word for text in texts for word in text.lower().split() if word.isalpha() and len(word) > 3)
    return {"places": len(places), "documented": len(texts), "words": words.total(), "frequent": words.most_common(10)}


def token_statistics(tokens: list[tokenize.TokenInfo]) -> Document:
    """How many tokens of each kind, how much of the file is comment, and how surprising a token is (bits)."""
    kinds = Counter(tokenize.tok_name[token.exact_type] for token in tokens)
    texts = Counter(token.string for token in tokens)
    total = texts.total()
    entropy = -sum(count / total * math.log2(count / total) for count in texts.values())
    comments = sum(len(token.string) for token in tokens if token.type == tokenize.COMMENT)
    return {"total": total, "kinds": dict(kinds), "distinct": len(texts), "entropy_bits": round(entropy, 4),
            "comment_characters": comments}  # fmt: skip


def line_statistics(text: str) -> Document:
    """Lines: how many, how many blank, the longest, how they are indented."""
    lines = text.splitlines()
    indents = Counter(len(line) - len(line.lstrip(" ")) for line in lines if line.strip())
    return {
        "total": len(lines),
        "blank": sum(not line.strip() for line in lines),
        "longest": max(map(len, lines), default=0),
        "indents": sorted(indents.items()),
    }


def bodies(tree: Tree) -> dict[str, str]:
    """A digest of each function's structure without its name and docstring: equal digests are copied functions."""
    found: dict[str, str] = {}
    for node in tree.nodes:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        statements = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
        if len(statements) > 1:
            structure = ast.dump(node.args) + "".join(map(ast.dump, statements))
            found[f"{node.name}:{node.lineno}"] = hashlib.blake2b(structure.encode(), digest_size=12).hexdigest()
    return found


def fingerprint(tokens: list[tokenize.TokenInfo], hashes: int) -> list[int]:
    """A MinHash of the file's shingles: files share about as many places of it as they share text.

    Empty when the file has fewer tokens than a shingle.
    """
    words = [token.string for token in tokens if token.type not in _LAYOUT]
    shingles = {
        int.from_bytes(
            hashlib.blake2b("\0".join(words[at : at + SHINGLE_TOKENS]).encode(), digest_size=7).digest(), "big"
        )
        for at in range(len(words) - SHINGLE_TOKENS + 1)
    }
    if not shingles:
        return []
    return [min((factor * shingle + offset) % _PRIME for shingle in shingles) for factor, offset in _families(hashes)]


def likeness(one: list[int], other: list[int]) -> float:
    """How alike two files are by their fingerprints: 0 to 1."""
    if not one or len(one) != len(other):
        return 0.0
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def _families(count: int) -> list[tuple[int, int]]:
    draw = random.Random(20_240_229)
    return [(draw.randrange(1, _PRIME), draw.randrange(_PRIME)) for _ in range(count)]


def _branches(node: ast.AST) -> int:
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    return int(isinstance(node, _BRANCHES))


def _arguments(node: Function) -> list[ast.arg]:
    arguments = node.args
    extra = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]


def _length(node: ast.ClassDef | Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
