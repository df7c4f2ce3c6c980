#!/usr/bin/env python3
"""Cleans the corpus, trains the tokenizer, writes token files.

    python data.py --data ../../../shared/data --out build

Input: fairy-tales.txt (books, one paragraph a line, <|endoftext|> between
books), fairy-tales-attribution.txt (the books' titles in order) and
storybooks.txt (stories with hard-wrapped lines, <|endoftext|> between them).
Output: train.txt and heldout.txt (cleaned text), tokenizer.json, train.bin and
heldout.bin (uint16 tokens), heldout-tokens.json, and with --sample a shorter
public-domain held-out text.
"""
import argparse
import json
import pathlib
import random
import re

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"
HELD_OUT = ("The Wonderful Wizard of Oz", "Celtic Fairy Tales", "Fairy Tales from Brazil")
HERE = pathlib.Path(__file__).resolve().parent

# Paragraphs about the book instead of its story: notes, credits, advertisements.
ABOUT = re.compile(
    r"copyright|transcri|gutenberg|e-text|etext|illustrat|frontispiece|typograph|amended|"
    r"footnote|edition|publish|preface|\bcloth\b.*\b(price|postage|gilt)|\bprice\b.*\$|"
    r"all rights reserved|\bpp?\. ?\d|\bvols?\. ?[ivx\d]|\bcf\.|\bibid|op\. cit|\bl\.c\.|\bviz\.|"
    r"folk-?lor|folk-?tale|mytholog|\bskazk|afanas|ralston|campbell|variants?\b|\bphilolog|"
    r"\bprofessor (max|rhys)|\bdr\. [A-Z]|this (volume|collection|little book)|"
    r"\b(translator|translation|author|editor|reprint)", re.I)
NOTES = re.compile(r"^(sources?|parallels?|remarks|notes?|index|glossary)\b[ .:-]", re.I)
OPENING = re.compile(
    r"^[\"']?(once upon a time|once there (was|were|lived)|there (was|were|lived) once|"
    r"there once (was|were|lived)|long,? (long )?ago|long, long ago|in (the )?olden times|"
    r"a long time ago|many years ago,? there|in a certain (kingdom|country|village))\b", re.I)
HEADING = re.compile(r"^(chapter|part|book|canto)\b [ivxlc\d]+\b", re.I)


def tidy(p):
    for a, b in (("’", "'"), ("‘", "'"), ("“", '"'), ("”", '"'), ("—", " - "), ("–", "-"), ("…", "...")):
        p = p.replace(a, b)
    p = re.sub(r"\[Illustration[^\]]*\]", " ", p)
    p = re.sub(r"\[[\dA-Za-z*]{1,4}\]|\{\d+\w?\}|\(\d{1,3}\)", "", p)  # footnote marks
    p = re.sub(r"[_|=~^<>]", "", p)
    p = re.sub(r"\s+", " ", p).strip()
    # "ONCE upon a time", a printer's opening in capitals
    return re.sub(r"^([\"']?)([A-Z])([A-Z]+)(?= [a-z])", lambda m: m[1] + m[2] + m[3].lower(), p)


def is_prose(p):
    letters = sum(ch.isalpha() for ch in p)
    return (len(p) >= 2 and letters >= 0.6 * len(p)
            and sum(ch.isupper() for ch in p) <= 0.25 * letters + 1
            and sum(ch.isdigit() for ch in p) <= 0.03 * len(p)
            and re.search(r"[.!?:;,\-][\"')]*$", p) is not None)


def book_documents(text):
    """A book as stories: lists of paragraphs, cut at headings and at the usual
    first words of a tale."""
    raw = text.split("\n")
    # Front matter: up to the last paragraph about the book among the first 6 %.
    head = max(8, int(0.06 * len(raw)))
    first = max((i + 1 for i, p in enumerate(raw[:head]) if ABOUT.search(p)), default=0)
    # Notes at the end: from the first "Source. - ..." in the last 45 %.
    last = next((i for i in range(int(0.55 * len(raw)), len(raw)) if NOTES.search(raw[i])), len(raw))
    docs, doc = [], []
    for r in raw[first:last]:
        p = tidy(r)
        if re.match(r"^\s*(\[?(footnote|illustration|note)\b|\[\d+\]|\{\d|\(\d+\)|\*|\+ ?-)", r, re.I):
            continue
        cut = HEADING.match(p) or (len(p) < 80 and p.isupper())
        if cut or OPENING.match(p):
            docs.append(doc)
            doc = []
        if not cut and is_prose(p) and not ABOUT.search(p):
            doc.append(p)
    docs.append(doc)
    return [d for d in docs if sum(map(len, d)) >= 200]


def story_document(text):
    """A picture book without its title, wrapped lines joined."""
    lines = [l.strip() for l in text.split("\n") if l.strip()][1:]
    if not lines:
        return []
    width = max(map(len, lines))
    out, cur = [], ""
    for l in lines:
        cur = (cur + " " + l).strip()
        ended = re.search(r"[.!?][\"'”’)]*$", l)
        if ended and (width > 110 or len(l) < 0.75 * width):
            out.append(cur)
            cur = ""
    if cur:
        out.append(cur)
    out = [tidy(p) for p in out]
    return [p for p in out if is_prose(p) and not re.search(r"©|www\.|CC[- ]BY|licen[cs]e|StoryWeaver", p)]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--data", type=pathlib.Path, default=HERE / "../../../shared/data")
    a.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build"))
    a.add_argument("--sample", type=pathlib.Path, help="write at most 200 kB of the held-out books here")
    a.add_argument("--vocab", type=int, default=4096)
    a = a.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)

    books = [b.strip() for b in (a.data / "fairy-tales.txt").read_text().split(END) if b.strip()]
    titles = [l.split(" | ")[0] for l in (a.data / "fairy-tales-attribution.txt").read_text().split("\n")[1:] if "|" in l]
    assert len(books) == len(titles), (len(books), len(titles))
    train, held, sample = [], [], []
    for title, book in zip(titles, books):
        docs = book_documents(book)
        kept = sum(len(p) for d in docs for p in d)
        print(f"{title[:45]:45} {len(book):7} characters, {kept / len(book):4.0%} kept, {len(docs)} parts")
        if title in HELD_OUT:
            held += docs
            size = 0
            for p in (p for d in docs for p in d):
                size += len(p.encode()) + 1
                if size > 200_000 // len(HELD_OUT) - 100:
                    break
                sample.append(p)
        else:
            train += docs
    stories = (a.data / "storybooks.txt").read_text().split("\n" + END)
    stories = [d for d in map(story_document, stories) if sum(map(len, d)) >= 100]
    for i, d in enumerate(stories):
        (held if i % 20 == 19 else train).append(d)
    random.Random(0).shuffle(train)
    if a.sample:
        a.sample.write_text("\n".join(sample) + "\n")

    text = {"train": ["\n".join(d) for d in train], "heldout": ["\n".join(d) for d in held]}
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(text["train"], trainers.BpeTrainer(
        vocab_size=a.vocab, special_tokens=[END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tok.save(str(a.out / "tokenizer.json"))
    assert tok.token_to_id(END) == 0 and tok.get_vocab_size() == a.vocab
    info = {}
    for part, docs in text.items():
        ids = [0]
        for e in tok.encode_batch(docs):
            ids += e.ids + [0]
        np.array(ids, np.uint16).tofile(a.out / f"{part}.bin")
        (a.out / f"{part}.txt").write_text(("\n" + END + "\n").join(docs) + "\n")
        info[part] = {"documents": len(docs), "tokens": len(ids), "bytes": sum(len(d.encode()) for d in docs)}
        print(part, info[part])
    (a.out / "data.json").write_text(json.dumps(info, indent=1) + "\n")


if __name__ == "__main__":
    main()
