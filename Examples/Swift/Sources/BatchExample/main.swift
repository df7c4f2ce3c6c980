// SPDX-License-Identifier: Apache-2.0

// Many texts at a time, which come and go: a small server without its network.
//
//     swift run -c release --package-path Examples/Swift BatchExample models/tinysparse-fairy.gguf

import TinySparse

guard CommandLine.arguments.count == 2 else { fatalError("usage: BatchExample MODEL") }
let model = try Model(path: CommandLine.arguments[1])

// At most three texts are at work; more wait. Each is the text that it is alone.
let batch = try Batch(model, places: 3)
var options = GenerationOptions()
options.maxTokens = 24

/// What there is of the texts that have not ended.
var texts: [Batch.ID: String] = [:]

// Somebody asks now and then; here, every fourth step. What the prompts begin with alike is evaluated once.
var callers = ["a king", "a little bird", "two brothers", "a wolf", "an old woman", "a fisherman"][...]
var step = 0
while !callers.isEmpty || !batch.isIdle {
    if step % 4 == 0, let who = callers.popFirst() {
        let prompt = "Once upon a time there was \(who)"
        let id = try batch.add(model.tokenizer.encode(prompt), options)
        texts[id] = ""
        print("[\(id)] comes: \(prompt)")
    }
    // One token of each text, and a block of the prompts that are still to be read.
    for output in batch.step() {
        texts[output.id]! += output.text
        if let error = output.error {
            print("[\(output.id)] fails: \(error)")
        } else if let reason = output.reason {
            print("[\(output.id)] ends (\(reason)) after \(output.tokens) tokens:\(texts[output.id]!)")
        }
        if output.isLast { texts[output.id] = nil }
    }
    // The second caller hangs up, whether the text has begun or not; others do not notice.
    if step == 12 { batch.cancel(1) }
    step += 1
}
print("\(step) steps; \(batch.sharedTokens) tokens of prompts were there already")
