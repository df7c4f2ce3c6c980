#!/usr/bin/env python3
"""Makes the tokenizer fixtures from hard.txt; needed only to change them.

    make_fixtures.py SmolLM2.gguf path/to/llama-tokenize

Writes vocabularies.json (small vocabularies) and expected.json (the ids that llama.cpp gives for hard.txt).
The byte-level vocabulary is a part of SmolLM2's (Apache-2.0); the SentencePiece ones are trained here on hard.txt.
Needs the Python packages gguf and sentencepiece.
"""
import collections, io, json, math, os, subprocess, sys, tempfile
import gguf, sentencepiece
from sentencepiece import sentencepiece_model_pb2

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
        if "map" in spec:
            w.add_precompiled_charsmap(bytes(spec["map"]))
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


def trained(across_words):
    """Byte-pair encoding trained on hard.txt: merges in the order of their making, and how often characters occur."""
    text = hard.decode("utf-8", "ignore").replace(" ", "\u2581").replace("\n", "")
    words, word = [], ""
    for c in text:
        if c == "\u2581" and word and word[-1] != "\u2581" and not across_words:
            words.append(word)
            word = ""
        word += c
    words = [list(w) for w in words + [word]]
    counts = collections.Counter(c for w in words for c in w if c >= " ")
    merges = []
    for _ in range(400):
        pairs = collections.Counter(p for w in words for p in zip(w, w[1:]))
        (a, b), n = max(pairs.items(), key=lambda kv: (kv[1], kv[0]))
        if n < 2:
            break
        merges.append((a, b))
        for w in words:
            i = 0
            while i + 1 < len(w):
                if w[i] == a and w[i + 1] == b:
                    w[i:i + 2] = [a + b]
                i += 1
    return merges, counts


def sentence_pieces(across_words):
    merges, counts = trained(across_words)
    pieces = [a + b for a, b in merges]
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


def gemma():
    """Byte-pair encoding of characters: those that are part of no merge fall back to bytes."""
    merges, _ = trained(True)
    merges = [(a, b) for a, b in merges if "\0" not in a + b]
    parts = dict.fromkeys(c for a, b in merges for c in a + b)
    pieces = dict.fromkeys(list(parts) + [a + b for a, b in merges] + ["\n", "\n\n", "\n\n\n"])
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<|tool_response>", "</s>", "<|turn>"]
    bytes_ = ["<0x%02X>" % b for b in range(256)]
    pieces = [p for p in pieces if p not in special]
    return {"model": "gemma4", "pre": "default", "tokens": special + bytes_ + pieces,
            "types": [3, 3, 3, 2, 3, 1, 3] + [6] * 256 + [1] * len(pieces), "merges": [" ".join(m) for m in merges],
            "bos": 2, "eos": 1, "unknown": 3}


def character_map():
    """A small map of characters, as SentencePiece compiles it."""
    rules = {"\ufb01": "fi", "\u2460": "1", "e\u0301": "\u00e9", "\u00a0": " ", "\t": " ", "\u3000": " ", "\u00bd": "1/2",
             "\uff21": "A", "\uff22": "B", "\u00ad": "", "\u2026": "...", "o\u0301\u0323": "o", "\u1e9b\u0323": "s"}
    with tempfile.TemporaryDirectory() as folder:
        tsv = os.path.join(folder, "rules.tsv")
        with open(tsv, "w") as f:
            for a, b in rules.items():
                f.write(" ".join("%X" % ord(c) for c in a) + "\t" + " ".join("%X" % ord(c) for c in b) + "\n")
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a b c"]), model_writer=model, vocab_size=9, hard_vocab_limit=False,
            normalization_rule_tsv=tsv, minloglevel=2)
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    return list(proto.normalizer_spec.precompiled_charsmap)


def unigram(**more):
    pieces = sentence_pieces(False)
    text = hard.decode("utf-8", "ignore").replace(" ", "\u2581")
    tokens = ["<pad>", "</s>", "<unk>"] + pieces + ["<|mine|>"]
    scores = [0.0] * 3 + [round(math.log((text.count(p) + 1) / len(text)), 3) for p in pieces] + [0.0]
    types = [3, 3, 2] + [1] * len(pieces) + [4]
    return {"model": "t5", "pre": "default", "tokens": tokens, "scores": scores, "types": types, "eos": 1, "unknown": 2,
            **more}


common = byte_level()
# One of each kind.
PRE = ["smollm", "gpt-2", "llama-bpe", "qwen2", "default", "falcon", "deepseek-llm", "deepseek-coder", "deepseek-v3",
       "spark2_5", "youtu", "qwen35", "bloom", "viking", "tekken", "gpt-4o", "granite-embed-multi-97m", "tiny_aya",
       "kimi-k2", "superbpe", "bailingmoe", "seed-coder", "ufakzeka", "afmoe", "laguna", "exaone-moe", "jais-2",
       "minicpm5", "chameleon", "glm4", "smaug-bpe"]
specs = {pre: {**common, "pre": pre} for pre in PRE}
specs["spm"] = score_bpe(False)
specs["spm-across"] = score_bpe(True, addBOS=False, addEOS=True, addSpacePrefix=False)
specs["unigram"] = unigram(addSpacePrefix=True, removeExtraWhitespace=True)
specs["unigram-plain"] = unigram(addEOS=False, addSpacePrefix=False)
specs["unigram-map"] = unigram(addSpacePrefix=True, removeExtraWhitespace=True, map=character_map())
specs["gemma4"] = gemma()
ids = {name: expected(spec) for name, spec in specs.items()}

# The byte-level vocabularies differ in nothing but the rule.
stored = {name: spec for name, spec in specs.items() if name not in PRE}
stored["byte-level"] = common
for name, value in [("vocabularies", stored), ("expected", ids)]:
    with open(os.path.join(here, name + ".json"), "w") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
