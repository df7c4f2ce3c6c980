#!/usr/bin/env python3
"""Makes the tokenizer fixtures from hard.txt; needed only to change them.

    make_fixtures.py SmolLM2.gguf path/to/llama-tokenize

Writes vocabularies.json (small vocabularies) and expected.json (the ids that llama.cpp gives for hard.txt).
The byte-level vocabulary is a part of SmolLM2's (Apache-2.0); the SentencePiece ones are trained here on hard.txt.
Needs the Python package gguf.
"""
import collections, json, math, os, subprocess, sys, tempfile
import gguf

here = os.path.dirname(os.path.abspath(__file__))
hard = open(os.path.join(here, "hard.txt"), "rb").read()
model, tokenize = sys.argv[1:3]


def expected(spec):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vocabulary.gguf")
        w = gguf.GGUFWriter(path, "llama")
        w.add_context_length(64)
        w.add_embedding_length(64)
        w.add_block_count(1)
        w.add_feed_forward_length(64)
        w.add_head_count(1)
        w.add_layer_norm_rms_eps(1e-5)
        w.add_tokenizer_model(spec["model"])
        w.add_tokenizer_pre(spec["pre"])
        w.add_token_list(spec["tokens"])
        w.add_token_types(spec["types"])
        if "scores" in spec:
            w.add_token_scores(spec["scores"])
        if "merges" in spec:
            w.add_token_merges(spec["merges"])
        for key, add in [("bos", w.add_bos_token_id), ("eos", w.add_eos_token_id), ("unknown", w.add_unk_token_id),
                         ("addBOS", w.add_add_bos_token), ("addEOS", w.add_add_eos_token),
                         ("addSpacePrefix", w.add_add_space_prefix),
                         ("removeExtraWhitespace", w.add_remove_extra_whitespaces)]:
            if key in spec:
                add(spec[key])
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()
        done = subprocess.run([tokenize, "-m", path, "--stdin", "--no-escape", "--ids", "--log-disable"], input=hard,
                              capture_output=True)
        if done.returncode:
            sys.exit(done.stderr.decode())
        return json.loads(done.stdout)


def byte_level():
    """The tokens of SmolLM2 that hard.txt uses, with the merges that lead to them, the first merges and the bytes."""
    fields = gguf.GGUFReader(model).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = fields["tokenizer.ggml.merges"].contents()
    done = subprocess.run([tokenize, "-m", model, "--stdin", "--no-escape", "--ids", "--log-disable"], input=hard,
                          capture_output=True)
    made_by = {}
    for rank, merge in enumerate(merges):
        made_by.setdefault(merge.replace(" ", ""), rank)
    ranks = set(range(200))
    todo = [tokens[i] for i in json.loads(done.stdout)]
    todo += [part for rank in ranks for part in merges[rank].split(" ")]
    seen = set()
    while todo:
        text = todo.pop()
        if text not in seen and text in made_by:
            ranks.add(made_by[text])
            todo += merges[made_by[text]].split(" ")
        seen.add(text)
    kept = [merges[r] for r in sorted(ranks)]
    results = {m.replace(" ", "") for m in kept}
    keep = [i for i, t in enumerate(tokens) if types[i] != 1 or len(t) == 1 or t in results]
    return {"model": "gpt2", "tokens": [tokens[i] for i in keep], "types": [types[i] for i in keep], "merges": kept,
            "bos": 1, "eos": 2, "unknown": 0}


def sentence_pieces(across_words):
    """Byte-pair encoding trained on hard.txt: pieces in the order of their making."""
    text = hard.decode("utf-8", "ignore").replace(" ", "\u2581").replace("\n", "")
    words, word = [], ""
    for c in text:
        if c == "\u2581" and word and word[-1] != "\u2581" and not across_words:
            words.append(word)
            word = ""
        word += c
    words = [list(w) for w in words + [word]]
    counts = collections.Counter(c for w in words for c in w if c >= " ")
    pieces = []
    for _ in range(400):
        pairs = collections.Counter(p for w in words for p in zip(w, w[1:]))
        (a, b), n = max(pairs.items(), key=lambda kv: (kv[1], kv[0]))
        if n < 2:
            break
        pieces.append(a + b)
        for w in words:
            i = 0
            while i + 1 < len(w):
                if w[i] == a and w[i + 1] == b:
                    w[i:i + 2] = [a + b]
                i += 1
    # Half of the characters, so that the rest falls back to bytes.
    pieces += [c for c, _ in counts.most_common(len(counts) // 2)]
    # llama.cpp reads a token only up to a NUL.
    return [p for p in dict.fromkeys(pieces) if not (p[0] == "<" and p[-1] == ">") and "\0" not in p]


def score_bpe(across_words, **more):
    pieces = sentence_pieces(across_words)
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + pieces + ["<|user|>", "<|mine|>"]
    # Every two pieces share a score, to test ties.
    scores = [0.0] * 259 + [-float(i // 2) for i in range(len(pieces))] + [0.0, 0.0]
    types = [2, 3, 3] + [6] * 256 + [1] * len(pieces) + [3, 4]
    return {"model": "llama", "pre": "default", "tokens": tokens, "scores": scores, "types": types, "bos": 1, "eos": 2,
            "unknown": 0, **more}


def unigram(**more):
    pieces = sentence_pieces(False)
    text = hard.decode("utf-8", "ignore").replace(" ", "\u2581")
    tokens = ["<pad>", "</s>", "<unk>"] + pieces + ["<|mine|>"]
    scores = [0.0] * 3 + [round(math.log((text.count(p) + 1) / len(text)), 3) for p in pieces] + [0.0]
    types = [3, 3, 2] + [1] * len(pieces) + [4]
    return {"model": "t5", "pre": "default", "tokens": tokens, "scores": scores, "types": types, "eos": 1, "unknown": 2,
            **more}


common = byte_level()
specs = {pre: {**common, "pre": pre} for pre in ["smollm", "gpt-2", "llama-bpe", "qwen2", "default"]}
specs["spm"] = score_bpe(False)
specs["spm-across"] = score_bpe(True, addBOS=False, addEOS=True, addSpacePrefix=False)
specs["unigram"] = unigram(addSpacePrefix=True, removeExtraWhitespace=True)
specs["unigram-plain"] = unigram(addEOS=False, addSpacePrefix=False)
ids = {name: expected(spec) for name, spec in specs.items()}

# The five byte-level vocabularies differ in nothing but the rule.
stored = {name: spec for name, spec in specs.items() if "merges" not in spec}
stored["byte-level"] = common
for name, value in [("vocabularies", stored), ("expected", ids)]:
    with open(os.path.join(here, name + ".json"), "w") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
