// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport
import TinyTokenizer

/// Computing what a `Reference` holds, and finding where two computations part.
extension Session {
    /// Reads a prompt, then writes `count` tokens greedily, into a session that is empty.
    /// - Returns: the tokens of both, and how many are the prompt's.
    /// - Throws: `RuntimeError`.
    func referenceTokens(_ prompt: String, writing count: Int) throws(RuntimeError) -> ([Int32], promptCount: Int) {
        var tokens = model.tokenizer.encode(prompt, addSpecial: true)
        if tokens.isEmpty { tokens = [0] }
        tokens = Array(tokens.prefix(contextLimit))
        let promptCount = tokens.count
        rewind(to: 0)
        try evaluate(tokens, topK: exactLogits)
        while tokens.count < min(promptCount + count, contextLimit) {
            tokens.append(argmax(logits))
            try evaluate(tokens.suffix(1), topK: exactLogits)
        }
        return (tokens, promptCount)
    }

    /// A screen is for text that is written greedily: one logit. Without one, all are exact.
    private var exactLogits: Int { forward.screen == nil ? 0 : 1 }

    /// What the model computes for tokens, from an empty context on.
    /// - Throws: `RuntimeError`.
    package func outputs(of tokens: [Int32]) throws(RuntimeError) -> (positions: [GoldenRecord.Position], next: [Int32])
    {
        rewind(to: 0)
        var positions = tokens.map { GoldenRecord.Position(token: $0, logits: 0, layers: []) }
        var next = [Int32](repeating: 0, count: tokens.count)
        var start = 0
        let width = model.config.dModel
        let lastLayer = model.config.nLayers - 1
        observeLayers { state in
            let (layer, hidden, count) = (state.layer, state.hidden, state.tokens)
            if layer >= 0 {
                for t in 0..<count {
                    positions[start + t].layers.append(
                        hash(UnsafeBufferPointer(rebasing: hidden[(t * width)...].prefix(width))))
                }
            }
            if layer == lastLayer { start += count }
        }
        defer { observeLayers(nil) }
        func set(_ position: Int, _ logits: UnsafeBufferPointer<Float>) {
            positions[position].logits = hash(logits)
            next[position] = argmax(logits)
        }
        if forward.screen == nil {
            try evaluate(tokens, logitsFrom: 0, set)
        } else {
            for (position, token) in tokens.enumerated() {
                try decode(token, topK: exactLogits)
                set(position, logits)
            }
        }
        return (positions, next)
    }

    /// The floats behind one hash: of the logits at the last of `tokens`, or of a layer's output there.
    func values(of tokens: [Int32], layer: Int?) throws(RuntimeError) -> [Float] {
        rewind(to: 0)
        var values: [Float] = []
        let width = model.config.dModel
        if let layer {
            observeLayers { state in
                if state.layer == layer { values = Array(state.hidden.suffix(width)) }
            }
        }
        defer { observeLayers(nil) }
        try evaluate(tokens, topK: exactLogits)
        return layer == nil ? Array(logits) : values
    }
}

private func hash(_ values: UnsafeBufferPointer<Float>) -> UInt64 {
    // Every CPU that Swift has a compiler for today is little-endian.
    xxHash64(UnsafeRawBufferPointer(values))
}

private func argmax(_ logits: UnsafeBufferPointer<Float>) -> Int32 {
    Int32(argmax(logits.baseAddress!, logits.count))
}

extension GoldenRecord {
    /// Computes a reference.
    ///
    /// - Parameters:
    ///   - count: tokens to write after each prompt.
    ///   - options: which kernels, threads and block size; no result depends on them.
    /// - Throws: `RuntimeError`.
    package static func record(
        _ model: Model, prompts: [String], writing count: Int, options: Session.Options, provenance: [String]
    ) throws(RuntimeError) -> GoldenRecord {
        var reference = GoldenRecord(modelHash: xxHash64(model.file.gguf.file.bytes), provenance: provenance, texts: [])
        for mode in modes(of: model) {
            let session = try Session(model, options, mode)
            for prompt in prompts {
                let (tokens, promptCount) = try session.referenceTokens(prompt, writing: count)
                reference.texts.append(
                    Text(
                        mode: mode, prompt: prompt, promptCount: promptCount,
                        positions: try session.outputs(of: tokens).positions))
            }
        }
        return reference
    }

    /// Dense, as the predictors say if there are any, and with the screen if there is one.
    static func modes(of model: Model) -> [Mode] {
        let predictors = model.config.predictors
        return [.dense] + (predictors.isEmpty ? [] : [.predicted]) + (predictors.screen == nil ? [] : [.screened])
    }

    /// Computes everything again and compares.
    /// - Returns: the first difference, or nil.
    /// - Throws: `RuntimeError`, for instance if the reference is of another model's size.
    package func firstDifference(_ model: Model, _ options: Session.Options) throws(RuntimeError)
        -> GoldenRecordDifference?
    {
        for mode in Mode.allCases where texts.contains(where: { $0.mode == mode }) {
            let session = try Session(model, options, mode)
            for text in texts where text.mode == mode {
                if let difference = try difference(text, session) { return difference }
            }
        }
        return nil
    }

    private func difference(_ text: Text, _ session: Session) throws(RuntimeError) -> GoldenRecordDifference? {
        func found(_ position: Int, _ what: GoldenRecordDifference.What) -> GoldenRecordDifference {
            GoldenRecordDifference(text: text, position: position, what: what)
        }
        let tokens = text.positions.map { $0.token }
        var prompt = session.model.tokenizer.encode(text.prompt, addSpecial: true)
        if prompt.isEmpty { prompt = [0] }
        prompt = Array(prompt.prefix(session.contextLimit))
        for position in 0..<max(prompt.count, text.promptCount) {
            let (a, b) = (tokens[..<text.promptCount], prompt[...])
            guard position < a.count, position < b.count, a[position] == b[position] else {
                return found(position, .tokenOfPrompt)
            }
        }
        let (positions, next) = try session.outputs(of: tokens)
        for (index, (expected, actual)) in zip(text.positions, positions).enumerated() {
            guard expected.layers.count == actual.layers.count else { return found(index, .layerCount) }
            if let layer = zip(expected.layers, actual.layers).enumerated().first(where: { $0.1.0 != $0.1.1 }) {
                return found(index, .layer(layer.offset))
            }
            if expected.logits != actual.logits { return found(index, .logits) }
            if index + 1 >= text.promptCount, index + 1 < tokens.count, next[index] != tokens[index + 1] {
                return found(index + 1, .tokenWritten)
            }
        }
        return nil
    }
}

/// Where a computation leaves a reference first: no earlier position and, at that position, no earlier layer differs.
package struct GoldenRecordDifference: Sendable, CustomStringConvertible {
    package enum What: Sendable, Equatable {
        /// The tokenizer makes another token of the prompt, or ends before or after the reference.
        case tokenOfPrompt
        /// The hashes are the same and the argmax is not: the reference was changed by hand.
        case tokenWritten
        case layerCount
        case layer(Int)
        case logits
    }

    package let text: GoldenRecord.Text
    package let position: Int
    package let what: What

    package var description: String {
        let what =
            switch what {
            case .tokenOfPrompt: "the prompt's token"
            case .tokenWritten: "the token written"
            case .layerCount: "the number of layers"
            case .layer(let layer): "the output of layer \(layer)"
            case .logits: "the logits"
            }
        return "\(text.mode.rawValue), prompt \(JSON.quoted(text.prompt)): at position \(position) \(what) differs"
    }

    /// Computes what differs with two sets of options.
    /// - Returns: the first element in which they differ and its two values, or nil if they agree.
    /// - Throws: `RuntimeError`.
    package func firstElement(
        _ model: Model, _ one: Session.Options, _ other: Session.Options
    ) throws(RuntimeError) -> (index: Int, Float, Float)? {
        let layer: Int?
        switch what {
        case .layer(let index): layer = index
        case .logits: layer = nil
        default: return nil
        }
        let tokens = text.positions.prefix(position + 1).map { $0.token }
        func compute(_ options: Session.Options) throws(RuntimeError) -> [Float] {
            try Session(model, options, text.mode).values(of: tokens, layer: layer)
        }
        let (a, b) = (try compute(one), try compute(other))
        return zip(a, b).enumerated().first { $0.1.0.bitPattern != $0.1.1.bitPattern }
            .map { ($0.offset, $0.1.0, $0.1.1) }
    }
}

extension Session {
    fileprivate convenience init(_ model: Model, _ options: Options, _ mode: GoldenRecord.Mode) throws(RuntimeError) {
        var options = options
        options.sparsity = mode.sparsity
        options.screensHead = mode == .screened
        try self.init(model, options)
    }
}
