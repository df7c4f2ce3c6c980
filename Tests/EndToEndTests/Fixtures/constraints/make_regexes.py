#!/usr/bin/env python3
"""Makes regexes.json: random regular expressions, and which texts Python's re finds in them; needed only to change it.

For each expression: texts that match as a whole, texts in which a match is found, and texts in which none is. Only what means
the same in ECMA-262 and Python is in the expressions, but for "$", which in Python also stands before a line break at the end.
"""
import json
import os
import random
import re

random = random.Random(20)
ALPHABET = ["a", "b", "c", "1", "_", "-", "é", "\n", '"', "\\", "\U0001f600", "]", "\x01"]
SETS = [
    r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", ".", "[a-c]", "[^a]", r"[\w-]", r"[\]\\\"]", "[é-\U0001f600]", r"[^\s\d]",
    r"[-a]", "[^\n-a]",
]
ESCAPES = {"\n": "\\n", "\\": "\\\\", "]": "\\]", "\x01": "\\x01", "-": "-"}


def expression(depth):
    """A random expression, and a function that makes texts of it."""
    kind = random.randrange(2 if depth == 0 else 6)
    if kind == 0:
        character = random.choice(ALPHABET)
        return ESCAPES.get(character, character), lambda: character
    if kind == 1:
        source = random.choice(SETS)
        members = [c for c in ALPHABET if re.fullmatch(source, c, re.ASCII)]
        return source, lambda: random.choice(members)
    if kind in (2, 3):
        parts = [expression(depth - 1) for _ in range(random.randint(1, 3))]
        return "".join(p[0] for p in parts), lambda: "".join(p[1]() for p in parts)
    if kind == 4:
        parts = [expression(depth - 1) for _ in range(random.randint(1, 3))]
        return random.choice(["(?:", "("]) + "|".join(p[0] for p in parts) + ")", lambda: random.choice(parts)[1]()
    source, make = expression(depth - 1)
    low = random.randint(0, 2)
    high = low + random.randint(0, 2)
    quantifier, high = random.choice(
        [("*", 3), ("+", 3), ("?", 1), (f"{{{low},{high}}}", high), (f"{{{low},}}", low + 2), (f"{{{low}}}", low)]
    )
    low = {"*": 0, "+": 1, "?": 0}.get(quantifier, low)
    lazy = random.choice(["", "", "?"])
    return f"(?:{source}){quantifier}{lazy}", lambda: "".join(make() for _ in range(random.randint(low, high)))


def changed(text):
    characters = list(text)
    for _ in range(random.randint(1, 2)):
        place = random.randint(0, len(characters))
        characters[place : place + random.randint(0, 1)] = random.choice([[], [random.choice(ALPHABET)]])
    return "".join(characters)


cases = []
for _ in range(400):
    alternatives, makers = [], []
    for _ in range(random.choice([1, 1, 2])):
        source, make = expression(3)
        alternatives.append(random.choice(["", "^"]) + source + random.choice(["", "$"]))
        makers.append(make)
    python = re.compile("|".join(a[:-1] + r"\Z" if a.endswith("$") else a for a in alternatives), re.ASCII)
    texts = [random.choice(makers)() for _ in range(6)]
    texts += [changed(text) for text in texts]
    texts += ["".join(random.choices(ALPHABET, k=random.randint(0, 4))) for _ in range(3)]
    texts = sorted({t for t in texts if len(t) < 40})
    whole = [t for t in texts if python.fullmatch(t)]
    found = [t for t in texts if t not in whole and python.search(t)]
    none = [t for t in texts if not python.search(t)]
    cases.append(dict(source="|".join(alternatives), whole=whole, found=found, none=none))
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "regexes.json"), "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n")
print(len(cases), [sum(len(c[k]) for c in cases) for k in ("whole", "found", "none")])
