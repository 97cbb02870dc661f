"""What can be run as it stands is told from what lacks something, and from what only defines."""

import pytest

from seedtune.domains.self_contained import is_self_contained, undefined_names


@pytest.mark.parametrize(
    "code",
    [
        "print('MOAS: 3')",
        "import os\nos.system('ls')",
        "__import__('json').nothing",
        "def f():\n    return 1\n\nif __name__ == '__main__':\n    print(f())",
        "from os.path import *\nprint(join('a', 'b'))",
        "found = open('x').read()",
        "def main():\n    pass\n\ncode = main()",
        "raise SystemExit(7)",
        "def f():\n    global total\n    total = 1\n\nf()\nprint(total)",
        "[print(n) for n in range(3)]",
        "class A:\n    n = 1\n    def f(self): return self.n\nprint(A().f())",
    ],
)
def test_what_lacks_nothing_and_does_something_is_self_contained(code: str) -> None:
    assert is_self_contained(code)


@pytest.mark.parametrize(
    ("code", "lacking"),
    [
        ("for elem in stream:\n    print(elem)", {"stream"}),
        ("def f():\n    return stream\n\nprint(f())", {"stream"}),
        ("print([elem for elem in stream if elem])", {"stream"}),
        ("if False:\n    def f(): return (lambda a: a + b)(1)\nprint(f())", {"b"}),
        ("def f():\n    inner = 1\n\nprint(inner)", {"inner"}),
    ],
)
def test_what_uses_a_name_that_it_lacks_is_a_fragment(code: str, lacking: set[str]) -> None:
    assert undefined_names(code) == lacking
    assert not is_self_contained(code)


@pytest.mark.parametrize(
    "code",
    [
        "import json\n\ndef f(x: int = max(1, 2)) -> str:\n    print(x)\n    return json.dumps(x)",
        "seen = {}\n\nclass A:\n    print('in a class')",
        "import re\nfrom collections import Counter\nWORD = re.compile('a')\nseen: Counter = Counter()\nfound = set()",
        "LIMIT = 60 * 5\n...",
        '"""Words."""',
        "import json",
    ],
)
def test_what_only_imports_defines_and_names_values_is_a_fragment(code: str) -> None:
    assert undefined_names(code) == set()
    assert not is_self_contained(code)


def test_what_does_not_compile_is_no_program() -> None:
    assert not is_self_contained("return print()")
