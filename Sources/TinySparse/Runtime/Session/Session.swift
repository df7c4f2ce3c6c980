import SIMDKernels
import TinyPlatform

/// One text being read and written: a model, a cache of what was read, and a team of threads.
///
/// A session belongs to one thread at a time; sessions of one model may run beside each other.
package final class Session {
    package struct Options: Sendable {
        /// Threads at work; 0 means as many as there are cores for this process.
        package var threads = 0
        /// Most tokens the session can hold; 0 means the model's context, at most 8,192.
        package var context = 0
        /// Most tokens of a prompt that go through a layer together.
        package var blockSize = 128
        /// The kernel set by name; nil means the fastest, or TINYSPARSE_KERNELS.
        package var kernels: String?
        /// Which neurons and heads are computed.
        package var sparsity = Sparsity.off
        /// Where a caller needs only some of the largest logits, compute those few rows of the output matrix that
        /// the model's screen finds: see `read(_:likeliest:)`. A model without a screen computes all.
        package var screensHead = false
        /// How keys and values are kept.
        package var cacheType = CacheType.half
        /// Most bytes that the process may have with the model and this session, or nil: the block size is
        /// chosen to fit, and the context too if it is left to be chosen. See `memoryNeeded`.
        package var memoryLimit: Int?

        package init(
            threads: Int = 0, context: Int = 0, blockSize: Int = 128, kernels: String? = nil,
            sparsity: Sparsity = .off, screensHead: Bool = false, cacheType: CacheType = .half,
            memoryLimit: Int? = nil
        ) {
            self.threads = threads
            self.context = context
            self.blockSize = blockSize
            self.kernels = kernels
            self.sparsity = sparsity
            self.screensHead = screensHead
            self.cacheType = cacheType
            self.memoryLimit = memoryLimit
        }
    }

    package let model: Model
    /// Most tokens the session can hold.
    package let contextLimit: Int
    /// The kernel set in use.
    package let kernelName: String
    /// The tokens read so far, those whose keys and values are in the cache.
    package private(set) var tokens: [Int32] = []

    package let kernels: KernelTable
    package let pool: WorkerPool
    package let forward: ForwardPass
    private let lastLogits: AlignedBuffer<Float>
    private var allLogits: AlignedBuffer<Float>?

    /// Shares that work is cut into; no more threads run than there are cores.
    package var threads: Int { pool.threads }

    /// - Throws: `RuntimeError` for options that make no sense, a kernel set that this CPU or build does not
    ///   have, or memory that is not there.
    package init(_ model: Model, _ options: Options = Options()) throws(RuntimeError) {
        guard (0...256).contains(options.threads) else {
            throw RuntimeError.badOption("\(options.threads) threads; 1 to 256 can be asked for, 0 takes all cores")
        }
        guard (1...4096).contains(options.blockSize) else {
            throw RuntimeError.badOption("a block of \(options.blockSize) tokens; 1 to 4096 are possible")
        }
        let most = model.config.contextLength
        let limit = options.context == 0 ? min(most, 8192) : options.context
        guard (1...most).contains(limit) else {
            throw RuntimeError.badOption("a context of \(limit) tokens; this model has at most \(most)")
        }
        try options.sparsity.check(model.config)
        let (context, blockSize) = try options.fitted(to: model, context: limit)
        self.model = model
        contextLimit = context
        do throws(KernelError) {
            kernels = if let name = options.kernels { try Kernels.named(name) } else { try Kernels.best() }
        } catch {
            throw .badOption(error.description)
        }
        kernelName = kernels.name
        pool = WorkerPool(threads: options.threads == 0 ? availableCores : options.threads)
        forward = try ForwardPass(
            model, kernels: kernels, pool: pool,
            cache: KVCache(model.config, limit: context, type: options.cacheType), blockSize: blockSize,
            sparsity: options.sparsity, screensHead: options.screensHead)
        lastLogits = try AlignedBuffer(model.config.vocabularySize)
    }

    /// What the model expects after the last token: one logit for every token of the vocabulary.
    /// Valid until the next call that reads tokens; zeros before the first.
    package var logits: UnsafeBufferPointer<Float> {
        UnsafeBufferPointer(start: lastLogits.pointer, count: model.config.vocabularySize)
    }

    /// Reads tokens after those read so far; `logits` then belongs to the last one. However a text is cut
    /// into calls, the logits have the same bits.
    ///
    /// - Complexity: O(tokens * (weights + context)).
    /// - Throws: `RuntimeError`; nothing was read then.
    package func read(_ new: some Sequence<Int32>) throws(RuntimeError) {
        try read(new, likeliest: 0)
    }

    /// The same for callers that need only the `count` largest logits. With `Options.screensHead` those are exact,
    /// but for the errors that the screen was calibrated to (about one token in a thousand); a logit that is left
    /// out is estimated, and below them. A `count` of 0, or of more than 256, makes every logit exact.
    ///
    /// - Complexity: as above; of the output matrix, some rows instead of all.
    /// - Throws: `RuntimeError`; nothing was read then.
    package func read(_ new: some Sequence<Int32>, likeliest count: Int) throws(RuntimeError) {
        try readBlocks(Array(new), logitsFrom: nil, likeliest: count) { _, _ in }
    }

    /// The same for a text that is given and will not be written: every neuron and head is computed, whatever
    /// `Options.sparsity`. A block of tokens needs nearly all of them between its tokens, so that leaving some out of
    /// each would gain no time (docs/SPARSITY.md), and the given text is read as exactly as the model can.
    /// - Throws: `RuntimeError`; nothing was read then.
    package func readPrompt(_ new: some Sequence<Int32>, likeliest count: Int = 0) throws(RuntimeError) {
        try readBlocks(Array(new), logitsFrom: nil, likeliest: count, dense: true) { _, _ in }
    }

    /// Reads tokens and calls `body` with the position and logits of each from `new[first]` on.
    package func read(
        _ new: [Int32], logitsFrom first: Int, _ body: (_ position: Int, UnsafeBufferPointer<Float>) -> Void
    ) throws(RuntimeError) {
        try readBlocks(new, logitsFrom: first) { position, logits in
            for t in 0..<logits.count / model.config.vocabularySize {
                let row = logits[(t * model.config.vocabularySize)...].prefix(model.config.vocabularySize)
                body(position + t, UnsafeBufferPointer(rebasing: row))
            }
        }
    }

    /// As above, `body` getting the rows of a whole block at once.
    package func readBlocks(
        _ new: [Int32], logitsFrom first: Int?, likeliest: Int = 0, dense: Bool = false,
        _ body: (_ position: Int, UnsafeBufferPointer<Float>) -> Void
    ) throws(RuntimeError) {
        let vocabulary = model.config.vocabularySize
        for id in new where id < 0 || Int(id) >= vocabulary {
            throw .tokenOutOfRange(id, vocabularySize: vocabulary)
        }
        guard new.count <= contextLimit - tokens.count else { throw .contextFull(limit: contextLimit) }
        for start in stride(from: 0, to: new.count, by: forward.blockSize) {
            let block = new[start..<min(start + forward.blockSize, new.count)]
            forward.run(block, at: tokens.count, dense: dense)
            if let first, first < block.endIndex {
                let from = max(first - start, 0)
                let rows = try everyLogit()
                forward.logits(from, block.count - from, into: rows.pointer)
                let count = (block.count - from) * vocabulary
                body(tokens.count + from, UnsafeBufferPointer(start: rows.pointer, count: count))
            }
            tokens += block
            if block.endIndex == new.count {
                forward.logits(block.count - 1, likeliest: likeliest, into: lastLogits.pointer)
            }
        }
    }

    private func everyLogit() throws(RuntimeError) -> AlignedBuffer<Float> {
        if let allLogits { return allLogits }
        let rows = try AlignedBuffer<Float>(forward.blockSize * model.config.vocabularySize)
        allLogits = rows
        return rows
    }

    /// Forgets all but the first `count` tokens. `logits` is not recomputed.
    package func rewind(to count: Int) {
        tokens.removeLast(max(tokens.count - max(count, 0), 0))
    }

    /// Calls `body` with the hidden states `[tokens, dModel]` after the embedding (layer -1) and after every
    /// layer of each block read from now on; nil ends it.
    package func observeLayers(_ body: ((_ layer: Int, _ hidden: UnsafeBufferPointer<Float>) -> Void)?) {
        forward.observer = body
    }
    /// Calls `body` after every layer of each block read from now on; nil ends it.
    package func probeLayers(_ body: ((LayerProbe) -> Void)?) { forward.probe = body }

    /// Starts measuring where the time goes, from zero.
    package func measureStages() { forward.stopwatch = Stopwatch() }
    /// Seconds by stage, in the order of `Stage.allCases`, since `measureStages`; nil if that was never called.
    package var stageSeconds: [Double]? { forward.stopwatch?.seconds }

    /// Neurons and heads computed since the session was made.
    package var activity: Activity { forward.activity }
    /// What the screen of the output matrix did since the session was made; nil if there is none at work.
    package var screenActivity: ScreenActivity? { forward.screen?.activity }
}
