// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats
import TinyPlatform
import TinySupport

/// A decoding session: one sequence, its KV cache, and a pool of threads.
///
/// A session belongs to one thread at a time; sessions of one model may run concurrently.
public final class Session {
    /// How a session computes. No result depends on threads, block size or kernels.
    public struct Options: Sendable {
        /// Threads at work; 0 means as many as there are cores for this process.
        public var threads = 0
        /// Most tokens the session can hold; 0 means the model's context, at most 8,192.
        public var context = 0
        /// Most tokens of a prompt that go through a layer together.
        public var blockSize = 128
        /// The kernel set by name; nil means the fastest, or TINYSPARSE_KERNELS.
        public var kernels: String?
        /// Which neurons and heads are computed.
        public var sparsity = Sparsity.off
        /// Where a caller needs only some of the largest logits, compute those few rows of the LM head that
        /// the model's low-rank screen finds: see `decode`. A model without a screen computes all.
        public var screensHead = false
        /// Where drafts come from of the tokens that a generation chooses: see `Speculation`.
        public var speculation = Speculation.off
        /// How keys and values are kept.
        public var cacheType = CacheType.half
        /// Most bytes that the process may have with the model and this session, or nil: the block size is
        /// chosen to fit, and the context too if it is left to be chosen. See `memoryNeeded`.
        public var memoryLimit: Int?

        /// Every option has a default.
        public init(
            threads: Int = 0, context: Int = 0, blockSize: Int = 128, kernels: String? = nil,
            sparsity: Sparsity = .off, screensHead: Bool = false, cacheType: CacheType = .half,
            memoryLimit: Int? = nil, speculation: Speculation = .off
        ) {
            self.threads = threads
            self.context = context
            self.blockSize = blockSize
            self.kernels = kernels
            self.sparsity = sparsity
            self.screensHead = screensHead
            self.cacheType = cacheType
            self.memoryLimit = memoryLimit
            self.speculation = speculation
        }
    }

    /// The model, shared with other sessions.
    public let model: Model
    /// Most tokens the session can hold.
    public let contextLimit: Int
    /// The kernel set in use.
    public let kernelName: String
    /// The tokens read so far, those whose keys and values are in the cache.
    public internal(set) var tokens: [Int32] = []
    /// How many of them, from the first on, were evaluated with every neuron and head.
    var denseTokens = 0

    package let kernels: KernelTable
    package let pool: WorkerPool
    package let forward: ForwardPass
    let cache: KVCache
    /// Whether decoding leaves neurons or heads out of the text.
    let isSparse: Bool
    /// Rows of logits: that of the last token, then those of the tokens in `ahead`.
    private let lastLogits: AlignedBuffer<Float>
    /// The row of the last token.
    private var logitsRow = 0
    /// A draft: tokens evaluated behind the end of the text, in the hope that they come next, with logits for a `topK`.
    private var ahead: ArraySlice<Int32> = []
    private var aheadTopK = 0
    private let speculator: Speculator?
    /// Whether the text is that of all neurons and heads, and the sparsity is for drafts.
    private let isDense: Bool
    private var allLogits: AlignedBuffer<Float>?
    /// Bytes of the buffers that the session was made with.
    package let bufferBytes: Int

    /// Shares that work is cut into; no more threads run than there are cores.
    public var threads: Int { pool.threads }

    /// - Throws: `RuntimeError` for invalid options, a kernel set that this CPU or build does not
    ///   have, or memory that is not there.
    public convenience init(_ model: Model, _ options: Options = Options()) throws(RuntimeError) {
        try self.init(model, options, selector: nil)
    }

    /// - Parameter selector: makes what selects neurons and heads, instead of `options.sparsity`.
    package convenience init(
        _ model: Model, _ options: Options, selector: ForwardPass.SelectorFactory?
    ) throws(RuntimeError) {
        let (context, blockSize, _) = try options.fitted(to: model)
        let pool = WorkerPool(threads: options.threads == 0 ? availableCores : options.threads)
        try self.init(
            model, options, context: context, blockSize: blockSize, options.kernelTable(), pool, in: SessionMemory(),
            selector: selector)
    }

    /// With sizes that fit, and with threads and a budget that others share.
    init(
        _ model: Model, _ options: Options, context: Int, blockSize: Int, _ kernels: KernelTable, _ pool: WorkerPool,
        in memory: SessionMemory, selector: ForwardPass.SelectorFactory? = nil
    ) throws(RuntimeError) {
        self.model = model
        self.kernels = kernels
        self.pool = pool
        contextLimit = context
        kernelName = kernels.name
        let buffers = try options.buffers(
            model, context: context, blockSize: blockSize, nil, kernels, pool, in: memory, selector: selector)
        (forward, cache, lastLogits) = (buffers.forward, buffers.caches[0], buffers.logits)
        speculator = buffers.speculator
        isDense = options.speculation.isDense
        isSparse = (options.sparsity.isOn || selector != nil) && !isDense
        bufferBytes = memory.bytes
    }

    /// Logits for the next token, one for each token of the vocabulary, after the last call that
    /// evaluated tokens. Valid until the next one; zeros before the first.
    public var logits: UnsafeBufferPointer<Float> {
        let vocabulary = model.config.vocabularySize
        return UnsafeBufferPointer(start: lastLogits.pointer + logitsRow * vocabulary, count: vocabulary)
    }

    /// Evaluates a given text after the tokens evaluated so far; `logits` then belongs to its last token. However a
    /// text is cut into calls, the logits have the same bits.
    ///
    /// Every neuron and head is computed, whatever `Options.sparsity`: a block of tokens needs nearly all of them
    /// between its tokens, so that leaving some out of each would gain no time (docs/SPARSITY.md).
    ///
    /// - Parameters:
    ///   - tokens: ids of the model's vocabulary.
    ///   - topK: how many of the largest logits have to be exact: see `decode`.
    ///   - shouldContinue: called before each block of `Options.blockSize` tokens; false ends the prefill.
    /// - Returns: false if it was ended: whole blocks have been evaluated (see `tokens`), and `logits` is as before.
    /// - Complexity: O(tokens * (weights + context)).
    /// - Throws: `RuntimeError`; nothing was evaluated then.
    @discardableResult
    public func prefill(
        _ tokens: some Sequence<Int32>, topK: Int = 0, while shouldContinue: () -> Bool = { true }
    ) throws(RuntimeError) -> Bool {
        try evaluateBlocks(Array(tokens), topK: topK, dense: true, while: shouldContinue)
    }

    /// Evaluates one token after those evaluated so far, with the neurons and heads of `Options.sparsity`; `logits` then
    /// belongs to it.
    ///
    /// - Parameter topK: how many of the largest logits the caller needs. With `Options.screensHead` those are exact,
    ///   but for the errors that the screen was calibrated to (about one token in a thousand); the other logits are
    ///   estimates below them. 0, or more than 256, makes every logit exact.
    /// - Complexity: O(weights + context); of the LM head, with a screen, some rows instead of all.
    /// - Throws: `RuntimeError`; nothing was evaluated then.
    public func decode(_ token: Int32, topK: Int = 0) throws(RuntimeError) {
        try evaluate(CollectionOfOne(token), topK: topK)
    }

    /// The same for several tokens: evaluates them as if each had been decoded, with the same bits.
    package func evaluate(_ tokens: some Sequence<Int32>, topK: Int = 0) throws(RuntimeError) {
        try evaluateBlocks(Array(tokens), topK: topK)
    }

    /// Evaluates tokens and calls `body` with the position and logits of each from `tokens[first]` on.
    package func evaluate(
        _ tokens: [Int32], logitsFrom first: Int, _ body: (_ position: Int, UnsafeBufferPointer<Float>) -> Void
    ) throws(RuntimeError) {
        let vocabulary = model.config.vocabularySize
        try evaluateBlocks(tokens, logitsFrom: first) { position, logits in
            for t in 0..<logits.count / vocabulary {
                body(position + t, UnsafeBufferPointer(rebasing: logits[(t * vocabulary)...].prefix(vocabulary)))
            }
        }
    }

    /// As above, `body` getting the rows of a whole block at once. All logits that `body` or `logits` gets are finite.
    /// - Parameters:
    ///   - first: from where on logits are wanted; nil for those of the last token only.
    ///   - dense: compute every neuron and head, whatever the sparsity.
    /// - Returns: false if `shouldContinue` ended it.
    /// - Throws: `RuntimeError`; nothing was evaluated then, and after `nonFiniteLogits` only `logits` is lost.
    @discardableResult
    package func evaluateBlocks(
        _ new: [Int32], logitsFrom first: Int? = nil, topK: Int = 0, dense: Bool = false,
        _ body: (_ position: Int, UnsafeBufferPointer<Float>) -> Void = { _, _ in },
        while shouldContinue: () -> Bool = { true }
    ) throws(RuntimeError) -> Bool {
        let vocabulary = model.config.vocabularySize
        for id in new where id < 0 || Int(id) >= vocabulary {
            throw .tokenOutOfRange(id, vocabularySize: vocabulary)
        }
        guard new.count <= contextLimit - tokens.count else { throw .contextFull(limit: contextLimit) }
        let before = tokens.count
        forgetDraft()
        for start in stride(from: 0, to: new.count, by: forward.blockSize) {
            guard shouldContinue() else { return false }
            let block = new[start..<min(start + forward.blockSize, new.count)]
            forward.run(TokenBlock(block, at: tokens.count, cache), dense: dense || isDense)
            if let first, first < block.endIndex {
                let from = max(first - start, 0)
                let rows = try everyLogit()
                forward.logits(from, block.count - from, into: rows.pointer)
                let count = (block.count - from) * vocabulary
                let logits = UnsafeBufferPointer(start: rows.pointer, count: count)
                try check(logits, from: tokens.count + from, rewindingTo: before)
                body(tokens.count + from, logits)
            }
            append(block, dense: dense)
            if block.endIndex == new.count {
                forward.logits(block.count - 1, topK: isDense ? 0 : topK, into: lastLogits.pointer)
                logitsRow = 0
                try check(logits, from: tokens.count - 1, rewindingTo: before)
            }
        }
        return true
    }

    /// `decode` for a generation, which may have drafts: what is computed for a token does not depend on them.
    /// - Throws: `RuntimeError`; nothing was evaluated then.
    func decode(_ token: Int32, for state: GenerationState) throws(RuntimeError) {
        guard let speculator else { return try decode(token, topK: state.topK) }
        speculator.chose(token)
        if ahead.first == token, aheadTopK == state.topK {
            ahead.removeFirst()
            logitsRow += 1
            speculator.accepted()
            append(CollectionOfOne(token))
            return try check(logits, from: tokens.count - 1, rewindingTo: tokens.count - 1)
        }
        let most = min(state.remaining - 1, contextLimit - tokens.count - 1, forward.blockSize - 1)
        let draft = speculator.draft(tokens, token, most: max(most, 0), state.sampler)
        let start = Stopwatch.now
        try decode(token, before: draft, topK: state.topK)
        speculator.evaluated(draft.count, seconds: Double(Stopwatch.now - start) * 1e-9)
    }

    /// Decodes a token and, in one block with it, a draft.
    private func decode(_ token: Int32, before draft: [Int32], topK: Int) throws(RuntimeError) {
        guard !draft.isEmpty else { return try decode(token, topK: topK) }
        guard tokens.count + draft.count < contextLimit else { throw .contextFull(limit: contextLimit) }
        forward.run(TokenBlock([token] + draft, at: tokens.count, cache), dense: isDense)
        let rows = [Int](0...draft.count)
        forward.logits(rows, topK: rows.map { _ in isDense ? 0 : topK }, into: lastLogits.pointer)
        (ahead, aheadTopK, logitsRow) = (draft[...], topK, 0)
        append(CollectionOfOne(token))
        try check(logits, from: tokens.count - 1, rewindingTo: tokens.count - 1)
    }

    /// Notes that tokens have been evaluated.
    /// - Parameter dense: with every neuron and head, whatever the sparsity.
    private func append(_ new: some Collection<Int32>, dense: Bool = false) {
        if dense || !isSparse, denseTokens == tokens.count { denseTokens += new.count }
        tokens += new
    }

    private func forgetDraft() { ahead = [] }

    /// - Parameter position: of the first row of `logits`.
    /// - Throws: `nonFiniteLogits` with the first position that has some; the tokens from `count` on are forgotten then.
    private func check(
        _ logits: UnsafeBufferPointer<Float>, from position: Int, rewindingTo count: Int
    ) throws(RuntimeError) {
        guard !areFinite(logits) else { return }
        rewind(to: count)
        let bad = logits.firstIndex { !$0.isFinite }!
        throw .nonFiniteLogits(position: position + bad / model.config.vocabularySize)
    }

    private func everyLogit() throws(RuntimeError) -> AlignedBuffer<Float> {
        if let allLogits { return allLogits }
        let rows = try AlignedBuffer<Float>(forward.blockSize * model.config.vocabularySize)
        allLogits = rows
        return rows
    }

    /// Forgets all but the first `count` tokens. `logits` is not recomputed.
    public func rewind(to count: Int) {
        forgetDraft()
        tokens.removeLast(max(tokens.count - max(count, 0), 0))
        denseTokens = min(denseTokens, tokens.count)
    }

    /// Forgets what a prompt does not begin with.
    /// - Returns: what of the prompt is still to be evaluated: at least its last token, whose logits choose the next.
    package func keepBeginning(of prompt: [Int32]) -> ArraySlice<Int32> {
        let common = tokens.commonPrefix(with: prompt.dropLast())
        rewind(to: common)
        return prompt[common...]
    }

    /// Calls `body` after the embedding and every layer of each block evaluated from now on; nil ends it.
    package func observeLayers(_ body: ((LayerState) -> Void)?) { forward.observer = body }

    /// Starts measuring where the time goes, from zero.
    package func measureStages() { forward.stopwatch = Stopwatch() }
    /// Seconds by stage, in the order of `Stage.allCases`, since `measureStages`; nil if that was never called.
    package var stageSeconds: [Double]? { forward.stopwatch?.seconds }

    /// Neurons and heads computed since the session was made.
    package var activity: Activity { forward.activity }
    /// What drafts did since the session was made; nil without speculation.
    public var speculationActivity: SpeculationActivity? { speculator?.activity }
    /// Lets every draft have so many tokens, whatever it costs: for tests.
    package func fixDraftLength(_ length: Int) { speculator?.fixedLength = length }
    /// What the screen of the output matrix did since the session was made; nil if there is none at work.
    package var screenActivity: LMHeadScreenActivity? { forward.screen?.activity }
}
