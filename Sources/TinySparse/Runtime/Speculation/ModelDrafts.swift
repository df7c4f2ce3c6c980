// SPDX-License-Identifier: Apache-2.0

import SIMDKernels

/// Drafts of a second model, which has a session of its own.
final class ModelDrafts: DraftSource {
    let expectations = DraftSampler.expectations
    let isFree = false
    private let session: Session
    /// Tokens from here on the other model does not have.
    private let vocabularySize: Int
    private var sampler: DraftSampler?
    private var pending: Int32?

    init(_ session: Session, vocabularySize: Int) {
        self.session = session
        self.vocabularySize = vocabularySize
    }

    func begin(_ tokens: [Int32], _ last: Int32, _ sampler: Sampler) {
        self.sampler = nil
        pending = nil
        let rest = session.keepBeginning(of: tokens + [last])
        let choice = DraftSampler(sampler)
        // Where its context is full it has nothing to say.
        guard (try? session.prefill(rest, topK: choice.topK)) == true else { return }
        self.sampler = choice
    }

    func next() -> DraftToken? {
        guard var choice = sampler else { return nil }
        if let pending, (try? session.decode(pending, topK: choice.topK)) == nil { return nil }
        guard let token = choice.choose(session.logits, history: session.tokens), token.id < vocabularySize else {
            return nil
        }
        sampler = choice
        pending = token.id
        return token
    }
}

/// Drafts of the same model, sparse. They share its buffers and its cache: what they leave there is behind the end of the
/// text, and the dense model writes over it before it looks there.
final class SelfDrafts: DraftSource {
    let expectations = DraftSampler.expectations
    let isFree = false
    private let forward: ForwardPass
    private let cache: KVCache
    private let limit: Int
    private let logits: AlignedBuffer<Float>
    private let vocabularySize: Int
    private var sampler: DraftSampler?
    private var text: [Int32] = []

    init(
        _ forward: ForwardPass, _ cache: KVCache, limit: Int, vocabularySize: Int, in memory: SessionMemory
    ) throws(RuntimeError) {
        self.forward = forward
        self.cache = cache
        self.limit = limit
        self.vocabularySize = vocabularySize
        logits = try AlignedBuffer(vocabularySize, in: memory)
    }

    func begin(_ tokens: [Int32], _ last: Int32, _ sampler: Sampler) {
        self.sampler = DraftSampler(sampler)
        text = tokens + [last]
    }

    func next() -> DraftToken? {
        guard var choice = sampler, text.count <= limit else { return nil }
        forward.run(TokenBlock(text.suffix(1), at: text.count - 1, cache))
        forward.logits(0, topK: choice.topK, into: logits.pointer)
        let row = UnsafeBufferPointer(start: UnsafePointer(logits.pointer), count: vocabularySize)
        guard let token = choice.choose(row, history: text) else { return nil }
        sampler = choice
        text.append(token.id)
        return token
    }
}
