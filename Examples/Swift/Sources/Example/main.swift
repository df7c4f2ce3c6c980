// SPDX-License-Identifier: Apache-2.0

// Generates text in three ways: as an asynchronous sequence, token by token, and from the logits themselves.
//
//     swift run -c release --package-path Examples/Swift Example models/tinysparse-fairy.gguf

import TinySparse

guard CommandLine.arguments.count == 2 else { fatalError("usage: Example MODEL") }
let model = try Model(path: CommandLine.arguments[1])
let session = try Session(model)

var options = GenerationOptions()
options.maxTokens = 32
options.sampling.seed = 1

// As an asynchronous sequence of pieces of text:
for try await piece in session.stream("Once upon a time", options) {
    print(piece, terminator: "")
}
print()

// In a loop of your own, from the beginning again:
session.rewind(to: 0)
options.sampling = .greedy
var text = try session.generation(prompt: model.tokenizer.encode("Once upon a time"), options)
while let piece = try text.next() {
    print(piece, terminator: "")
}
print("\nended because of", text.reason!)

// Without sampling: the logits after a text, and the most probable next token.
session.rewind(to: 0)
try session.prefill(model.tokenizer.encode("The cat sat on the"))
let best = session.logits.indices.max { session.logits[$0] < session.logits[$1] }!
print("next:", model.tokenizer.decode([Int32(best)]))
