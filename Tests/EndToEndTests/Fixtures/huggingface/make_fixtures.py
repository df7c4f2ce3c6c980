#!/usr/bin/env python3
"""Makes the fixture of Hugging Face tokenizers; needed only to change it.

    make_fixtures.py

Writes tokenizers.json: small vocabularies ("bases"), each a tokenizer.json without options; for each case a base, the
sections of tokenizer.json that it changes, and what the tokenizers library makes of the texts: their ids, and the texts
of these ids; conversations; and what transformers makes of tokenizer_config.json and chat_template.jinja. Needs the
Python packages tokenizers (0.23.3), transformers (5.24.0) and sentencepiece (0.2).
"""
import base64
import io
import itertools
import json
import os
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

here = os.path.dirname(os.path.abspath(__file__))
MARK = "\u2581"

TEXTS = [
    "", " ", "a", "Hello world", "  two  spaces  ", "\n", "a\n\n b\t\tc \r\n d", "It's 1234567 o'clock, isn't it? I'LL see",
    "re\u0301sume\u0301 r\u00e9sum\u00e9 a\u0323\u0307 a\u0307\u0323 q\u0307\u0323 \u212b \u2126 \u1e9b\u0323 \u0344",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\u1100\u116e\u11a8 \uac00\u11a8 \uac01\u11a8", "\ufb01n \ufb03 \u00bd \u2460 \u01c4 \uff21",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd\u2764\ufe0f", "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8",
    "\u0130stanbul STRASSE \u1e9e \u03a3\u03a3", "<s>Hello</s>", "a <s> b  </s>  c", "<s><s> </s></s>", "x<mask>y <mask> z<mask>",
    "Hello <tool>world</tool> tool", " <s>", "<s> Hello", MARK + "a " + MARK + MARK + "b", "caf\u00e9\u00a0au\u3000lait\u2003x",
    "(a)[b]{c} ... --- !? \u00ab\u00e9\u00bb \u2014 $5+3=8", "\u0628\u064e\u064e\u0651 \u05e9\u05c1\u05c2 \u0e01\u0e33 \u0915\u094d\u0937\u093f \u0958", "\u0300\u0301 \u0345\u0316a",
    "aaaaaaaaaaaaaaaa", "Q\u00e9\u0301\u0301", "\U0001d15e \U0001d1bf \u2adc \uf900 \U0002f800 \u0374", "_x__y_ z1_2",
    "unknown \u2603\u2603 \u2603x", "low lower lowest newer newest wider", "Y\u200dZ \u200b\ufeffw", "12 345 6 \u0661\u0662 \u00b2",
]

TRAINING = TEXTS * 2 + ["low lower lowest newer newest wider widest the other there", "Hello world, hello there!"] * 4


def tokenizer(model, **sections):
    empty = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
             "pre_tokenizer": None, "post_processor": None, "decoder": None}
    return {**empty, **sections, "model": model}


def byte_level_base():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator(TRAINING, trainers.BpeTrainer(
        vocab_size=340, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return json.loads(t.to_str())["model"]


def character_base():
    """Pieces of characters with spaces marked; of the characters some are missing."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    t.train_from_iterator([x for x in TRAINING if "\u2603" not in x and "\u65e5" not in x], trainers.BpeTrainer(
        vocab_size=380, limit_alphabet=160,
        special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]))
    model = json.loads(t.to_str())["model"]
    # Longer than the bytes need: let merges be learned.
    t.train_from_iterator([x for x in TRAINING if "\u2603" not in x and "\u65e5" not in x], trainers.BpeTrainer(
        vocab_size=560, limit_alphabet=160,
        special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]))
    model = json.loads(t.to_str())["model"]
    model.update(unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    return model


def unigram_base():
    """Pieces with scores; of the characters some are missing."""
    t = Tokenizer(models.Unigram())
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.train_from_iterator([x for x in TRAINING if "\u2603" not in x and "\u65e5" not in x], trainers.UnigramTrainer(
        vocab_size=300, unk_token="<unk>", special_tokens=["<unk>", "<s>", "</s>"]))
    return json.loads(t.to_str())["model"]


RULES = {"\ufb01": "fi", "\ufb03": "ffi", "\u2460": "1", "e\u0301": "\u00e9", "\u00a0": " ", "\t": " ", "\u3000": " ", "\u00bd": "1/2",
         "\uff21": "A", "\u00ad": "", "\u2003": " ", "\u0300\u0301": "x", "\u0958": "\u0915\u093c", "\u212b": "\u00e5", "\u1e9b\u0323": "s"}


def sentence_piece(**options):
    """A model trained by SentencePiece, as bytes."""
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        if options.pop("rules", False):
            options["normalization_rule_tsv"] = os.path.join(folder, "rules.tsv")
            with open(options["normalization_rule_tsv"], "w") as f:
                for a, b in RULES.items():
                    f.write(" ".join("%X" % ord(c) for c in a) + "\t" + " ".join("%X" % ord(c) for c in b) + "\n")
        else:
            options.setdefault("normalization_rule_name", "identity")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([x for x in TRAINING if "\u2603" not in x and "\u65e5" not in x and "\n" not in x]),
            model_writer=model, hard_vocab_limit=False, minloglevel=2, **options)
    return model.getvalue()


def character_map():
    proto = sentencepiece_model_pb2.ModelProto.FromString(sentence_piece(model_type="bpe", vocab_size=200, rules=True))
    return base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()


def added(id, content, special=True, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": special, **flags}


BYTES, CHARACTERS, UNIGRAM = byte_level_base(), character_base(), unigram_base()
B, C, U = len(BYTES["vocab"]), len(CHARACTERS["vocab"]), len(UNIGRAM["vocab"])
LLAMA_DECODER = {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
PLAIN = {**BYTE_LEVEL, "use_regex": False}
BASES = {
    "bytes": tokenizer(BYTES, added_tokens=[added(0, "<s>"), added(1, "</s>")], pre_tokenizer=BYTE_LEVEL,
                       decoder={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}),
    "characters": tokenizer(CHARACTERS, added_tokens=[added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
                            decoder=LLAMA_DECODER),
    "pieces": tokenizer(UNIGRAM, added_tokens=[added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
                        pre_tokenizer={"type": "Metaspace", "replacement": MARK, "prepend_scheme": "always", "split": True},
                        decoder={"type": "Metaspace", "replacement": MARK, "prepend_scheme": "always", "split": True}),
}

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def sequence(kind, *steps):
    return {"type": "Sequence", kind: list(steps)}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def metaspace(scheme, split, mark=MARK):
    return {"type": "Metaspace", "replacement": mark, "prepend_scheme": scheme, "split": split}


def replace(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


def special(name):
    return {"SpecialToken": {"id": name, "type_id": 0}}


def template(before, after, tokens):
    return {"type": "TemplateProcessing",
            "single": [special(n) for n in before] + [{"Sequence": {"id": "A", "type_id": 0}}] + [special(n) for n in after],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {n: {"id": n, "ids": ids, "tokens": ["x"] * len(ids)} for n, ids in tokens.items()}}


cases = {}


def case(name, base, **change):
    cases[name] = (base, change)


case("bytes", "bytes")
for name in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "BertNormalizer"]:
    case(f"normalizer {name}", "bytes", normalizer={"type": name})
for left, right in [(True, True), (True, False), (False, True)]:
    case(f"normalizer Strip {left} {right}", "bytes",
         normalizer={"type": "Strip", "strip_left": left, "strip_right": right})
case("normalizer Replace string", "bytes", normalizer=replace({"String": "  "}, "_"))
case("normalizer Replace regex", "bytes", normalizer=replace({"Regex": " {2,}"}, " "))
case("normalizer Prepend", "bytes", normalizer={"type": "Prepend", "prepend": "x"})
case("normalizer Sequence", "bytes", normalizer=sequence(
    "normalizers", {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "NFC"},
    {"type": "Strip", "strip_left": True, "strip_right": True}))
case("normalizer ByteLevel", "bytes", normalizer={"type": "ByteLevel"})

case("byte level prefix space", "bytes", pre_tokenizer={**BYTE_LEVEL, "add_prefix_space": True})
case("byte level no expression", "bytes", pre_tokenizer=PLAIN)
case("byte level no expression, prefix space", "bytes", pre_tokenizer={**PLAIN, "add_prefix_space": True})
case("byte level offsets", "bytes", pre_tokenizer={**BYTE_LEVEL, "trim_offsets": False})
for name, expression in [("llama 3", LLAMA3), ("qwen 2", QWEN2), ("gpt 2", GPT2)]:
    case(f"split {name}", "bytes", pre_tokenizer=sequence("pretokenizers", split({"Regex": expression}), PLAIN))
# Tokens that no merge makes.
UNREACHABLE = {"unknown": B, "\u0120isn": B + 1, "\u0120STRASSE": B + 2, "Q\u00c3\u00a9\u00cc\u0123\u00cc\u0123": B + 3}
for ignore in [True, False]:
    case(f"split llama 3, {'ignore merges' if ignore else 'unreachable tokens'}", "bytes",
         pre_tokenizer=sequence("pretokenizers", split({"Regex": LLAMA3}), PLAIN),
         model={"ignore_merges": ignore, "vocab": UNREACHABLE})
# Of models, and what tries the syntax of expressions.
EXPRESSIONS = {
    "cl100k": r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s""",
    "o200k": r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
    "deepseek v3": r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
    "bloom": r""" ?[^(\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+""",
    "letters": r"\p{L}+", "not letters": r"\P{L}+", "long property": r"\p{Letter}|\p{^Number}",
    "intersection": r"[\p{L}&&[^\p{Han}]]+", "scripts": r"\p{Han}+|\p{Hiragana}+|\p{Katakana}+|\p{Hangul}+|\p{Thai}+",
    "thousands": r"\d{1,3}(?=(?:\d{3})*\b)", "places in numbers": r"(?=(\d{3})+(?!\d))", "words": r"\w+|[^\w\s]+",
    "boundaries": r"\b", "no boundaries": r"\B", "lazy": r"[a-z]+?l|.{2,4}?o", "either": r"a|ab|abc", "optional": r"(?:He|Hello)?",
    "lines": r"^.|.$", "text": r"\A.|.\z|.\Z", "behind": r"(?<=l)o|(?<!e)r", "case": r"(?i)s|K|[x-z]+", "case off": r"(?i:o(?-i:W)|W)",
    "interval": r"\p{N}{2}|\p{N}{,3}x|a{2,}", "repeated interval": r"\p{N}{1,3}+", "hyphens": r"[a\-z]|[-b]|[c-]|[]\[]", "hex": r"\h+|\x61|\x{e9}|\u00e9",
    "posix": r"[[:space:]]+|[[:punct:]]+", "brace": r"\(a\)\[b\]{c}", "nothing": r"", "starred": r"l*",
    "nested": r"((?:l|o)+(?:w(?:e(?:r|st))?)?)+", "ahead twice": r"(?=\p{L})(?!l).", "ahead in ahead": r"\w+(?=\s(?!w))", "possessive": r"l?+o|\p{L}*+ ",
}
for name, expression in EXPRESSIONS.items():
    case(f"expression {name}", "bytes", pre_tokenizer=sequence("pretokenizers", split({"Regex": expression}), PLAIN))
case("expressions in a row", "bytes", pre_tokenizer=sequence(
    "pretokenizers", split({"Regex": r"\p{N}{1,3}"}), split({"Regex": "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"}),
    split({"Regex": EXPRESSIONS["deepseek v3"]}), PLAIN))
for behavior in ["Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]:
    case(f"expression inverted {behavior}", "bytes",
         pre_tokenizer=sequence("pretokenizers", split({"Regex": r"\p{L}+|\d"}, behavior, True), PLAIN))
for name, expression in [
    ("back reference", r"(a)\1"), ("atomic group", r"(?>a+)b"), ("possessive group", r"(?:ab)++"), ("look behind of two", r"(?<=ab)c"),
    ("empty loop", r"(?:a*)*"), ("unknown property", r"\p{Klingon}"), ("small letters", r"(?i:\p{Lu}+)"), ("sharp s", r"(?i:straSSe)"),
    ("beyond ASCII", "(?i:\u00e9)"), ("class alpha", r"[[:alpha:]]+"), ("line break", r"\R"), ("too large", r"(?:a{2000}){2000}"),
    ("named group", r"(?<n>a)"), ("property without braces", r"\pL"),
]:
    case(f"refused split {name}", "bytes", pre_tokenizer=sequence("pretokenizers", split({"Regex": expression}), PLAIN))
case("normalizer Replace of nothing", "bytes", normalizer=replace({"Regex": "a*"}, "b"))
case("normalizer Precompiled", "bytes", normalizer={"type": "Precompiled", "precompiled_charsmap": character_map()})
case("pre-tokenizer UnicodeScripts", "bytes", pre_tokenizer={"type": "UnicodeScripts"})
case("pre-tokenizer CharDelimiterSplit", "bytes", pre_tokenizer=sequence("pretokenizers", {"type": "CharDelimiterSplit", "delimiter": "l"}, PLAIN))
case("normalizer ByteLevel alone", "bytes", normalizer={"type": "ByteLevel"}, pre_tokenizer=split({"Regex": r"\p{L}+"}))

case("unigram", "pieces")
T5_NORMALIZER = sequence("normalizers", {"type": "Precompiled", "precompiled_charsmap": character_map()},
                         {"type": "Strip", "strip_left": False, "strip_right": True}, replace({"Regex": " {2,}"}, MARK))
case("unigram of T5", "pieces", normalizer=T5_NORMALIZER, post_processor=template([], ["</s>"], {"</s>": [2]}))
case("unigram without splits", "pieces", pre_tokenizer=metaspace("first", False))
case("unigram with added tokens", "pieces", added_tokens=[
    added(0, "<unk>"), added(1, "<s>"), added(2, "</s>"), added(U, "<mask>", lstrip=True), added(U + 1, "tool", special=False)])
case("unigram with bytes", "pieces", model={
    "byte_fallback": True, "vocab": UNIGRAM["vocab"] + [["<0x%02X>" % b, 0.0] for b in range(256)]})
case("unigram, scores of double precision and ties", "pieces", model={"vocab": [
    [t, -1.0 - len(t) / 3 if i > 2 else 0.0] for i, (t, _) in enumerate(UNIGRAM["vocab"])]})
case("unigram without unknown token", "pieces", model={"unk_id": None})
case("unigram with an unknown token outside", "pieces", model={"unk_id": 99999})
for behavior in ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]:
    for invert in [False, True]:
        case(f"split {behavior} {invert}", "bytes",
             pre_tokenizer=sequence("pretokenizers", split({"String": " "}, behavior, invert), PLAIN))
        case(f"split llama 3 {behavior} {invert}", "bytes",
             pre_tokenizer=sequence("pretokenizers", split({"Regex": LLAMA3}, behavior, invert), PLAIN))
for individual in [False, True]:
    case(f"digits {individual}", "bytes", pre_tokenizer=sequence(
        "pretokenizers", {"type": "Digits", "individual_digits": individual}, BYTE_LEVEL))
case("pre-tokenizer Punctuation", "bytes", pre_tokenizer=sequence(
    "pretokenizers", {"type": "Punctuation", "behavior": "Isolated"}, PLAIN))
case("whitespace split", "bytes", pre_tokenizer=sequence("pretokenizers", {"type": "WhitespaceSplit"}, {**PLAIN, "add_prefix_space": True}))
case("pre-tokenizer Whitespace", "bytes", pre_tokenizer=sequence("pretokenizers", {"type": "Whitespace"}, PLAIN))
case("pre-tokenizer BertPreTokenizer", "bytes", pre_tokenizer={"type": "BertPreTokenizer"})

for chosen in itertools.product([False, True], repeat=4):
    flags = {name: True for name, is_chosen in zip(["lstrip", "rstrip", "single_word", "normalized"], chosen) if is_chosen}
    tokens = [added(0, "<s>"), added(1, "</s>", rstrip="rstrip" in flags), added(B, "<mask>", **flags),
              added(B + 1, "tool", special=False, **flags), added(B + 2, "Hello w", special=False, **flags)]
    case("added " + " ".join(flags), "bytes", added_tokens=tokens)
    case("added, lowercase " + " ".join(flags), "bytes", added_tokens=tokens,
         normalizer=sequence("normalizers", {"type": "NFC"}, {"type": "Lowercase"}))
case("added overlapping", "bytes", added_tokens=[
    added(0, "<s>"), added(1, "</s>"), added(B, "He"), added(B + 1, "Hello", special=False), added(B + 2, "ello world"),
    added(B + 3, "  ", special=False), added(B + 4, "\n\n", special=False)])
case("added white space", "bytes", added_tokens=[
    added(0, "<s>"), added(1, "</s>"), added(B, "\n", rstrip=True), added(B + 1, "\t"), added(B + 2, "\r", lstrip=True, rstrip=True)])
case("added with the id of the vocabulary", "bytes", added_tokens=[added(0, "<s>"), added(1, "</s>"), added(B, "H", special=False)])
case("added with ids out of order", "bytes", added_tokens=[
    added(0, "<s>"), added(1, "</s>"), added(B + 2, "<mask>"), added(B + 1, "tool"), added(B, "tool", special=False)])
case("added with ids beyond the vocabulary", "bytes", added_tokens=[
    added(0, "<s>"), added(1, "</s>"), added(B + 500, "<mask>"), added(B + 501, "tool")])

case("post ByteLevel", "bytes", post_processor={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True})
case("post Roberta", "bytes", post_processor={"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": False})
case("post Bert", "bytes", post_processor={"type": "BertProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0]})
case("post Template", "bytes", post_processor=template(["<s>"], [], {"<s>": [0]}))
case("post Template several", "bytes", post_processor=template(
    ["<s>", "many"], ["</s>", "<s>"], {"<s>": [0], "</s>": [1], "many": [5, 6, 7]}))
case("post Sequence", "bytes", post_processor={"type": "Sequence", "processors": [
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
    template(["<s>"], ["</s>"], {"<s>": [0], "</s>": [1]})]})
# The library panics at such a file.
case("post Sequence of templates", "bytes", post_processor={"type": "Sequence", "processors": [
    template(["<s>"], ["</s>"], {"<s>": [0], "</s>": [1]}), template(["x"], ["y"], {"x": [9], "y": [8]})]})

LEGACY = sequence("normalizers", {"type": "Prepend", "prepend": MARK}, replace({"String": " "}, MARK))
case("llama legacy", "characters", normalizer=LEGACY, post_processor=template(["<s>"], [], {"<s>": [1]}))
case("llama legacy, normalized", "characters", normalizer=LEGACY,
     added_tokens=[added(0, "<unk>", normalized=True), added(1, "<s>", normalized=True), added(2, "</s>", normalized=True)])
case("byte fallback without normalizer", "characters")
case("gemma", "characters", normalizer=replace({"String": " "}, MARK), pre_tokenizer=split({"String": " "}, "MergedWithPrevious"))
for scheme in ["first", "always", "never"]:
    for splits in [True, False]:
        case(f"metaspace {scheme} {splits}", "characters", pre_tokenizer=metaspace(scheme, splits))
case("metaspace old", "characters", pre_tokenizer={"type": "Metaspace", "replacement": MARK, "add_prefix_space": True})
case("metaspace other mark", "characters", pre_tokenizer=metaspace("first", True, "_"),
     decoder={"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": True})
case("metaspace after whitespace split", "characters",
     pre_tokenizer=sequence("pretokenizers", {"type": "WhitespaceSplit"}, metaspace("first", False)))
for flags in [dict(byte_fallback=False, fuse_unk=True), dict(byte_fallback=False, fuse_unk=False),
              dict(byte_fallback=False, fuse_unk=False, unk_token=None), dict(byte_fallback=True, ignore_merges=True)]:
    case("model " + json.dumps(flags), "characters", model=flags, pre_tokenizer=metaspace("always", True))
for option in [{"dropout": 0.1}, {"dropout": 0.0}, {"continuing_subword_prefix": "##"}, {"end_of_word_suffix": "</w>"}]:
    case("model " + json.dumps(option), "bytes", model=option)
case("padding and truncation", "bytes", truncation={"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
     padding={"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "<s>"})
case("decoder BPEDecoder", "bytes", decoder={"type": "BPEDecoder", "suffix": "</w>"})
case("decoder WordPiece", "characters", decoder={"type": "WordPiece", "prefix": "##", "cleanup": True})
case("post-processor of pairs", "bytes", post_processor={"type": "Unknown"})

# The library shows the normalized text of an added token, and the names of bytes without ByteFallback.
OWN_DECODING = [name for name in cases if name.startswith("added, lowercase") and "normalized" in name] + [
    "unigram with bytes", "llama legacy, normalized", "metaspace other mark"]

# What the runtime refuses, each with its message.
REFUSED = json.load(open(os.path.join(here, "refused.json")))


def merged(a, b):
    if not (isinstance(a, dict) and isinstance(b, dict)):
        return b
    return {**a, **{k: merged(a.get(k), v) for k, v in b.items()}}


out = []
for name, (base, change) in cases.items():
    entry = {"name": name, "base": base, "change": change}
    if name in REFUSED:
        entry["refused"] = REFUSED[name]
    else:
        t = Tokenizer.from_str(json.dumps(merged(BASES[base], change)))
        # transformers does neither unless it is asked to.
        t.no_padding()
        t.no_truncation()
        entry["ids"] = [t.encode(x).ids for x in TEXTS]
        if name not in OWN_DECODING:
            entry["decoded"] = [t.decode(t.encode(x, add_special_tokens=False).ids) for x in TEXTS]
    out.append(entry)
unused = set(REFUSED) - set(cases)
assert not unused, unused
for base in [BASES["bytes"], BASES["characters"]]:
    base["model"]["merges"] = [" ".join(m) for m in base["model"]["merges"]]


def chat(template, text, change):
    """A conversation as transformers encodes it: the template has written the special tokens."""
    t = Tokenizer.from_str(json.dumps(merged(BASES["characters"], change)))
    return {"template": template, "change": change, "text": text, "ids": t.encode(text, add_special_tokens=False).ids}


CHATS = [chat(kind, text, dict(pre_tokenizer=pre_tokenizer, normalizer=normalizer,
                               post_processor=template(["<s>"], ["</s>"], {"<s>": [1], "</s>": [2]})))
         for kind, text in [("llama2", "<s>[INST] Hello [/INST] low </s><s>[INST] world [/INST]"),
                            ("zephyr", "<|user|>\nHello</s>\n<|assistant|>\nlow</s>\n<|user|>\nworld</s>\n<|assistant|>\n")]
         for pre_tokenizer, normalizer in [
             (metaspace("first", False), None), (metaspace("always", False), None), (None, LEGACY)]]


def transformed(config, change, template=None):
    """What transformers makes of a folder: the ids of a text, and the chat template."""
    with tempfile.TemporaryDirectory() as folder:
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", **config}
        files = {"tokenizer.json": json.dumps(merged(BASES["bytes"], change)), "tokenizer_config.json": json.dumps(config)}
        if template:
            files["chat_template.jinja"] = template
        for name, text in files.items():
            with open(os.path.join(folder, name), "w") as f:
                f.write(text)
        t = AutoTokenizer.from_pretrained(folder)
        return {"config": config, "change": change, "template_file": template, "ids": t(FOLDER_TEXT)["input_ids"],
                "template": t.chat_template}


FOLDER_TEXT = "Hello <mask> <new> world tool <s>. "
MASK = {"added_tokens": [added(0, "<s>"), added(1, "</s>"), added(B, "<mask>")]}


def described(content, **flags):
    return {k: v for k, v in added(0, content, **flags).items() if k != "id"}


BEGIN = {"post_processor": template(["<s>"], [], {"<s>": [0]})}
FOLDERS = [transformed(config, change, file) for config, change, file in [
    ({}, {}, None), ({"add_bos_token": True}, {}, None), ({"add_bos_token": False}, BEGIN, None),
    ({"add_bos_token": True}, BEGIN, None), ({"add_eos_token": True}, BEGIN, None), ({"add_prefix_space": True}, {}, None),
    ({"add_prefix_space": False}, {"pre_tokenizer": {**BYTE_LEVEL, "add_prefix_space": True}}, None),
    ({"chat_template": "in the configuration"}, {}, None), ({"chat_template": "in the configuration"}, {}, "in a file"),
    ({"chat_template": [{"name": "default", "template": "d"}, {"name": "other", "template": "o"}]}, {}, "in a file"),
    ({"added_tokens_decoder": {str(B): described("<mask>", lstrip=True)}}, MASK, None),
    ({"added_tokens_decoder": {str(B): described("<mask>", special=False), str(B + 1): described("<new>", rstrip=True)}}, MASK, None),
    ({"added_tokens_decoder": {str(B + 9): described("<new>"), str(B + 8): described("tool", normalized=True)}}, MASK, None),
    ({"additional_special_tokens": ["<new>", "<mask>"]}, MASK, None), ({"extra_special_tokens": ["<new>"]}, {}, None),
    ({"extra_special_tokens": {"image_token": "<new>"}}, MASK, None), ({"eos_token": "Hello", "pad_token": "tool"}, {}, None),
    ({"clean_up_tokenization_spaces": True}, {}, None),
]]
# Of folders without tokenizer.json: what SentencePiece makes of its own models.
MODELS = []
for kind in ["bpe", "unigram"]:
    for options in [dict(), dict(byte_fallback=True, remove_extra_whitespaces=False), dict(rules=True),
                    dict(rules=True, byte_fallback=True, add_dummy_prefix=False),
                    dict(user_defined_symbols=["<tool>", "ow", "  ", "\n"], byte_fallback=True, remove_extra_whitespaces=False)]:
        model = sentence_piece(model_type=kind, vocab_size=460 if "byte_fallback" in options else 260, **options)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        ids = [processor.encode(x) for x in TEXTS]
        MODELS.append({"name": f"{kind} {options}", "model": base64.b64encode(model).decode(), "ids": ids,
                       "decoded": [processor.decode(x) for x in ids]})
with open(os.path.join(here, "tokenizers.json"), "w") as f:
    json.dump({"models": MODELS, "texts": TEXTS, "bases": BASES, "cases": out, "chats": CHATS, "folder_text": FOLDER_TEXT,
               "folders": FOLDERS}, f, ensure_ascii=False, separators=(",", ":"))
    f.write("\n")
