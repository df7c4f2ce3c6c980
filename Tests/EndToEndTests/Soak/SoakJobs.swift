// SPDX-License-Identifier: Apache-2.0

import TinySparse

extension SplitMix64 {
    /// Whether something happens that does so once in `n` times.
    mutating func once(in n: Int) -> Bool { Int.random(in: 0..<n, using: &self) == 0 }
}

/// A text to generate.
struct SoakJob {
    var prompt: [Int32]
    var options = GenerationOptions()

    /// - Parameters:
    ///   - prompts: how many tokens prompts have.
    ///   - lengths: how many tokens are generated at most.
    init(_ model: Model, prompts: ClosedRange<Int>, lengths: ClosedRange<Int>, _ random: inout SplitMix64) {
        let vocabulary = model.config.vocabularySize, count = Int.random(in: prompts, using: &random)
        // Half of them begin alike.
        let shared = Bool.random(using: &random) ? Int.random(in: 0...count, using: &random) : 0
        prompt = (0..<shared).map { Int32(($0 * 31 + 7) % vocabulary) }
        prompt += (shared..<count).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &random) }
        options.maxTokens = Int.random(in: lengths, using: &random)
        options.sampling.temperature = [0, 0.8, 1.5].randomElement(using: &random)!
        options.sampling.seed = random.next()
        if random.once(in: 6) { options.stop = ["e", " the"] }
        options.shiftsContext = Bool.random(using: &random)
    }
}

/// Sessions and batches of a model with its predictors, if it has some.
func soakOptions(_ model: Model, context: Int) -> Session.Options {
    Session.Options(context: context, blockSize: 64, sparsity: model.config.predictors.isEmpty ? .off : .predicted())
}

/// Resident memory of this process in kB; 0 where there is no /proc.
func residentMemory() -> Int {
    guard let file = fopen("/proc/self/status", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, Int32(line.count), file) != nil {
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if text.hasPrefix("VmRSS:") {
            return text.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
        }
    }
    return 0
}
