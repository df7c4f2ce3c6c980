#!/usr/bin/env python3
"""Writes the tables of Unicode normalization, as the tokenizers library has them.

    make_unicode_tables.py > ../../../Sources/TinySparse/Tokenizer/HuggingFace/UnicodeTables.swift
    make_unicode_tables.py compatibility > ../../../Sources/TinySparse/Tokenizer/HuggingFace/CompatibilityTable.swift

Decompositions and compositions are those of Python's unicodedata that the library also makes, so that both agree on
characters which are newer than the library. Needs the Python package tokenizers.
"""
import sys
import textwrap
import unicodedata

from tokenizers import normalizers

NFC, NFD = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str
NFKD = normalizers.NFKD().normalize_str
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(number):
    text = DIGITS[number % 36]
    while number >= 36:
        number //= 36
        text = DIGITS[number % 36] + text
    return text


def characters():
    """Every code point but surrogates and Hangul syllables, which an algorithm decomposes."""
    return (c for c in range(0x110000) if not (0xD800 <= c < 0xE000 or 0xAC00 <= c < 0xD7A4))


decompositions, last = [], 0
for code in characters():
    if NFD(chr(code)) == chr(code):
        continue
    assert NFD(chr(code)) == unicodedata.normalize("NFD", chr(code)), hex(code)
    parts = [int(part, 16) for part in unicodedata.decomposition(chr(code)).split()]
    composes = len(parts) == 2 and NFC("".join(map(chr, parts))) == chr(code)
    decompositions.append("%s%s%s" % (base36(code - last), "=" if composes else ":", ",".join(map(base36, parts))))
    last = code

runs = []
for code in characters():
    value = unicodedata.combining(chr(code))
    # A mark that the library knows goes before U+0345, whose class is the highest.
    if value == 0 or (code != 0x345 and NFD("a\u0345" + chr(code)) == "a\u0345" + chr(code)):
        continue
    if runs and runs[-1][0] + runs[-1][1] == code and runs[-1][2] == value:
        runs[-1][1] += 1
    else:
        runs.append([code, 1, value])
classes, last = [], 0
for start, count, value in runs:
    classes.append("%s,%s,%s" % (base36(start - last), base36(count), base36(value)))
    last = start


def literal(name, comment, items):
    lines = textwrap.wrap(" ".join(items), 112)
    text = "".join("        %s \\\n" % line for line in lines[:-1]) + "        %s\n" % lines[-1]
    return "    /// %s\n    static let %s: StaticString = \"\"\"\n%s        \"\"\"\n" % (comment, name, text)


compatible, last = [], 0
for code in characters():
    tag, *parts = unicodedata.decomposition(chr(code)).split() or [""]
    if not tag.startswith("<") or NFKD(chr(code)) == chr(code):
        continue
    assert NFKD(chr(code)) == unicodedata.normalize("NFKD", chr(code)), hex(code)
    compatible.append("%s:%s" % (base36(code - last), ",".join(base36(int(part, 16)) for part in parts)))
    last = code

print("// SPDX-License-Identifier: Apache-2.0\n")
print("// Written by Tests/EndToEndTests/Reference/make_unicode_tables.py. All numbers are in base 36.\n")
if sys.argv[1:] == ["compatibility"]:
    print("/// The character data of compatibility normalization.\nenum CompatibilityTable {")
    print(literal("decompositions", "`DISTANCE:PARTS`, the distance from the character before.", compatible), end="")
    print("}")
    sys.exit()
print("/// The character data of canonical normalization.\nenum UnicodeTables {")
print(literal("decompositions", "`DISTANCE:PARTS`, the distance from the character before; `=` if the parts also compose.",
              decompositions))
print(literal("combiningClasses", "`DISTANCE,COUNT,CLASS`: runs of characters of one combining class other than 0.",
              classes), end="")
print("}")
