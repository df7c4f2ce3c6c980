// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats
import TinyPlatform
import TinySupport
import TinyTokenizer

/// Several texts of one model, generated together: the weights are read once for all of them at every step, which is what
/// decoding takes most of its time for.
///
///     let batch = try Batch(model, places: 8)
///     for prompt in prompts { try batch.add(model.tokenizer.encode(prompt), options) }
///     while !batch.isIdle {
///         for output in batch.step() { print(output.id, output.text, output.reason as Any) }
///     }
///
/// Each text has the bits, and so the tokens, that it has alone in a `Session`: they do not depend on what else is in the
/// batch, on when it came, on threads or kernels. Sequences come and go at any step. A batch belongs to one thread at a time.
public final class Batch {
    /// What tells the sequences of a batch apart, in the order in which they were added.
    public typealias ID = Int

    /// What a step made of a sequence.
    public struct Output: Sendable {
        /// The sequence.
        public let id: ID
        /// Whole characters; often none.
        public let text: String
        /// Tokens generated so far.
        public let tokens: Int
        /// How likely this step's token was, if `GenerationOptions.logProbabilities` asks for it. A token that ends the text
        /// is none.
        public let choice: TokenChoice?
        /// Tokens of the prompt that others had read, and that were not evaluated again.
        public let sharedTokens: Int
        /// Why the text has ended; nil if it goes on.
        public let reason: StopReason?
        /// What ended it without a reason.
        public let error: RuntimeError?

        /// Whether this is the last output of the sequence.
        public var isLast: Bool { reason != nil || error != nil }
    }

    /// A sequence that waits for a place.
    struct Request {
        let id: ID
        let prompt: [Int32]
        var state: GenerationState
    }

    /// The model.
    public let model: Model
    /// Most tokens a sequence can hold.
    public let contextLimit: Int
    /// Most sequences at a time; more wait.
    public let places: Int
    /// Most tokens whose keys and values are kept, of all sequences together: those that several read alike count once.
    public var cachedTokens: Int { pages.count * pages.positions }
    /// The kernel set in use.
    public let kernelName: String
    /// Shares that work is cut into; no more threads run than there are cores.
    public var threads: Int { pool.threads }
    /// Tokens of prompts that others had read, and that were not evaluated again.
    public private(set) var sharedTokens = 0

    /// Whether decoding leaves neurons or heads out.
    private let isSparse: Bool
    private let kernels: KernelTable
    private let pool: WorkerPool
    private let forward: ForwardPass
    private let logits: AlignedBuffer<Float>
    private let pages: KVPages
    private let tree: PrefixTree
    /// The page tables of places without a sequence.
    private var free: [KVCache]
    private var waiting: [Request] = []
    private var running: [BatchSequence] = []
    private var nextID = 0
    /// Tokens of prompts evaluated in one step while others decode, which wait for it.
    package static let prefillPiece = 64
    /// Tokens of a beginning that a sequence waits for another to read.
    private static let worthWaiting = 16

    /// - Parameters:
    ///   - places: most sequences at a time, 1 to 256.
    ///   - cachedTokens: most tokens whose keys and values are kept, of all sequences together, rounded up to pages; at
    ///     least a context. A sequence waits until all it may need is there. 0 for the contexts of all places, or less if
    ///     the options have a limit to the memory.
    ///   - options: as of a session; the context is that of each sequence.
    /// - Throws: `RuntimeError` for invalid options, or memory that is not there.
    public convenience init(
        _ model: Model, places: Int, cachedTokens: Int = 0, _ options: Session.Options = Session.Options()
    ) throws(RuntimeError) {
        try self.init(model, places: places, cachedTokens: cachedTokens, pageSize: BatchShape.pageSize, options)
    }

    /// - Parameter pageSize: positions in a page.
    package init(
        _ model: Model, places: Int, cachedTokens: Int = 0, pageSize: Int, _ options: Session.Options
    ) throws(RuntimeError) {
        guard 1...256 ~= places else { throw .badOption("\(places) places; 1 to 256 are possible") }
        if case .off = options.speculation {
        } else {
            throw .badOption("a batch makes no drafts: it has blocks of many sequences")
        }
        let wanted = BatchShape(places: places, cachedTokens: cachedTokens, pageSize: pageSize)
        let (context, blockSize, shape) = try options.fitted(to: model, wanted)
        self.model = model
        self.places = places
        contextLimit = context
        pool = WorkerPool(threads: options.threads == 0 ? availableCores : options.threads)
        let memory = SessionMemory()
        kernels = try options.kernelTable()
        kernelName = kernels.name
        let buffers = try options.buffers(
            model, context: context, blockSize: blockSize, shape, kernels, pool, in: memory)
        (forward, logits) = (buffers.forward, buffers.logits)
        pages = buffers.caches[0].pages
        tree = PrefixTree(pages: pages.count, positions: pages.positions)
        free = buffers.caches
        isSparse = options.sparsity.isOn
    }

    /// Adds a text to go on from.
    /// - Parameter prompt: token ids.
    /// - Throws: `RuntimeError` for ids or options out of range, or a prompt that is empty or longer than the context.
    @discardableResult
    public func add(_ prompt: [Int32], _ options: GenerationOptions = GenerationOptions()) throws(RuntimeError) -> ID {
        let vocabulary = model.config.vocabularySize
        for token in prompt where token < 0 || Int(token) >= vocabulary {
            throw .tokenOutOfRange(token, vocabularySize: vocabulary)
        }
        guard !prompt.isEmpty else { throw .emptyPrompt }
        guard prompt.count <= contextLimit else { throw .contextFull(limit: contextLimit) }
        nextID += 1
        waiting.append(Request(id: nextID - 1, prompt: prompt, state: try GenerationState(options, model)))
        return nextID - 1
    }

    /// Ends a sequence; the next step gives its last output. Nothing happens if it has ended.
    public func cancel(_ id: ID) {
        if let sequence = running.first(where: { $0.id == id }) { sequence.cancel() }
        for i in waiting.indices where waiting[i].id == id { waiting[i].state.cancel() }
    }

    /// Whether every sequence has ended.
    public var isIdle: Bool { waiting.isEmpty && running.isEmpty }
    /// Whether a sequence that is added now begins at the next step.
    public var hasPlace: Bool { waiting.count + running.count < places }

    /// Generates the next token of every sequence whose prompt has been evaluated, and evaluates more of the others' prompts.
    /// - Returns: what came of those, in the order in which they were added.
    /// - Complexity: O(weights + the contexts of the sequences).
    public func step() -> [Output] {
        var outputs = dropCancelled()
        admit()
        let before = running.map { $0.state.generated.count }
        decode()
        prefill()
        for (sequence, count) in zip(running, before) where sequence.hasEnded || sequence.state.generated.count > count
        {
            outputs.append(sequence.output)
        }
        release()
        return outputs.sorted { $0.id < $1.id }
    }

    // MARK: Places

    /// Sequences that were cancelled before they began.
    private func dropCancelled() -> [Output] {
        let cancelled = waiting.filter { $0.state.reason != nil }
        waiting.removeAll { $0.state.reason != nil }
        return cancelled.map {
            Output(
                id: $0.id, text: "", tokens: 0, choice: nil, sharedTokens: 0, reason: $0.state.reason, error: nil)
        }
    }

    /// Gives places to sequences that wait, in their order, while all the pages that they may need can be had. What another
    /// is reading of a beginning that they share is waited for, too.
    private func admit() {
        while let request = waiting.first, let cache = free.last {
            let known = tree.match(request.prompt.dropLast())
            guard !isBeingRead(request.prompt, beyond: known) else { return }
            let place = SequenceCache(cache, tree, request, limit: contextLimit)
            let others = running.reduce(0) { $0 + $1.cache.reserved }
            guard place.begin(request.prompt, known, beside: others) else { return }
            sharedTokens += place.tokens.count
            free.removeLast()
            running.append(BatchSequence(waiting.removeFirst(), place))
        }
    }

    /// Whether a sequence is reading more of what a prompt begins with than is known: soon that need not be read again.
    private func isBeingRead(_ prompt: [Int32], beyond known: PrefixTree.Match) -> Bool {
        let text = prompt.dropLast()
        return running.contains {
            !$0.prompt.isEmpty && !$0.hasEnded && $0.commonPrefix(with: text) >= known.count + Self.worthWaiting
        }
    }

    private func release() {
        for sequence in running where sequence.hasEnded {
            sequence.cache.end()
            free.append(sequence.cache.cache)
        }
        running.removeAll { $0.hasEnded }
    }

    // MARK: Evaluation

    /// One token of each sequence that has chosen one.
    private func decode() {
        let ready = running.filter { $0.canDecode(contextLimit, model.tokenizer) }
        for first in stride(from: 0, to: ready.count, by: forward.blockSize) {
            let some = Array(ready[first..<min(first + forward.blockSize, ready.count)])
            var block = TokenBlock()
            for sequence in some {
                sequence.cache.makeRoom(for: 1)
                block.append(
                    CollectionOfOne(sequence.pending!), at: sequence.cache.tokens.count, sequence.cache.cache)
            }
            forward.run(block)
            for sequence in some { sequence.evaluatedPending(dense: !isSparse) }
            choose(some, at: Array(0..<some.count))
        }
    }

    /// As much of the prompts as fits a block, the first ones first.
    private func prefill() {
        var block = TokenBlock()
        var parts: [(BatchSequence, count: Int)] = []
        let isDecoding = running.contains { $0.pending != nil && $0.prompt.isEmpty }
        var room = isDecoding ? min(Self.prefillPiece, forward.blockSize) : forward.blockSize
        for sequence in running where !sequence.prompt.isEmpty && !sequence.hasEnded && room > 0 {
            let count = min(sequence.prompt.count, room)
            sequence.cache.makeRoom(for: count)
            block.append(sequence.prompt.prefix(count), at: sequence.cache.tokens.count, sequence.cache.cache)
            parts.append((sequence, count))
            room -= count
        }
        guard !parts.isEmpty else { return }
        forward.run(block, dense: true)
        var ends: [Int] = [], complete: [BatchSequence] = []
        var end = 0
        for (sequence, count) in parts {
            end += count
            sequence.evaluatedPrompt(count)
            // After a shift of its context, a sequence has its token already.
            guard sequence.prompt.isEmpty, sequence.pending == nil, !sequence.endsBeforeNext() else { continue }
            complete.append(sequence)
            ends.append(end - 1)
        }
        choose(complete, at: ends)
    }

    /// Chooses a token for each of some sequences, whose last tokens are at `places`, ascending, of the block that ran.
    private func choose(_ sequences: [BatchSequence], at places: [Int]) {
        let vocabulary = model.config.vocabularySize, tokenizer = model.tokenizer
        forward.logits(places, topK: sequences.map { $0.state.topK }, into: logits.pointer)
        pool.run(sequences.count) { i, _ in
            sequences[i].choose(
                UnsafeBufferPointer(start: logits.pointer + i * vocabulary, count: vocabulary), tokenizer, kernels)
        }
    }
}
