// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats
import TinyPlatform
import TinySupport

/// What a session, or a batch of sequences, works with.
struct SessionBuffers {
    let forward: ForwardPass
    /// For each sequence.
    let caches: [KVCache]
    /// `[sequences or tokens of a draft and one more, vocabularySize]`.
    let logits: AlignedBuffer<Float>
    let speculator: Speculator?
}

/// How many sequences a batch has, and their pages.
struct BatchShape {
    /// Positions in a page: enough that attention reads long runs, and few enough that little of the last one is left over.
    static let pageSize = 64

    let places: Int
    /// Tokens whose keys and values are kept; 0 for some contexts.
    let cachedTokens: Int
    let pageSize: Int
    /// How many contexts are kept if `cachedTokens` is 0.
    var contexts: Int

    init(places: Int, cachedTokens: Int = 0, pageSize: Int = Self.pageSize) {
        (self.places, self.cachedTokens, self.pageSize) = (places, cachedTokens, pageSize)
        contexts = places
    }

    /// Pages that a batch of this shape has.
    func pages(context: Int) -> Int {
        func pages(_ tokens: Int) -> Int { (tokens + pageSize - 1) / pageSize }
        return cachedTokens == 0 ? contexts * pages(context) : pages(cachedTokens)
    }
}

extension Session.Options {
    /// What the process takes besides models and sessions: code, stacks, the allocator's rest.
    private static let programBytes = 12 << 20
    /// What a worker's stack takes, about.
    private static let stackBytes = 1 << 16

    /// Bytes that a process needs with this model and one session, or `Batch`, with these options, all of the context in
    /// use. The weights count in full: mapped pages can be given back, but a token needs all of them.
    ///
    /// - Parameters:
    ///   - context: most tokens the session can hold.
    ///   - blockSize: most tokens of a prompt that go through a layer together.
    ///   - places: sequences of a `Batch`, or nil for a session.
    ///   - cachedTokens: of a batch; 0 for the contexts of all places.
    /// - Throws: `RuntimeError` for a kernel set that this CPU or build does not have.
    public func memoryNeeded(
        _ model: Model, context: Int, blockSize: Int, places: Int? = nil, cachedTokens: Int = 0
    ) throws(RuntimeError) -> Int {
        try memoryNeeded(
            model, context: context, blockSize: blockSize,
            places.map { BatchShape(places: $0, cachedTokens: cachedTokens) })
    }

    private func memoryNeeded(
        _ model: Model, context: Int, blockSize: Int, _ shape: BatchShape?
    ) throws(RuntimeError) -> Int {
        let memory = SessionMemory(isPlan: true)
        let threads = threads == 0 ? availableCores : threads
        // A pool of one core starts no threads.
        _ = try buffers(
            model, context: context, blockSize: blockSize, shape, kernelTable(),
            WorkerPool(threads: threads, cores: 1), in: memory)
        var models = Self.modelBytes(model)
        if case .draftModel(let draft) = speculation { models += Self.modelBytes(draft) - Self.programBytes }
        let (sum, overflow) = memory.bytes.addingReportingOverflow(
            models + threads * Self.stackBytes + (shape?.places ?? 1) * context * MemoryLayout<Int32>.stride)
        return overflow ? Int.max : sum
    }

    /// The part of `memoryNeeded` that all sessions of a process share.
    package static func modelBytes(_ model: Model) -> Int {
        // A token of the vocabulary costs its text, its place in two tables and its merge.
        programBytes + model.file.gguf.file.size + 300 * model.config.vocabularySize
    }

    /// The kernel set to use.
    package func kernelTable() throws(RuntimeError) -> KernelTable {
        do throws(KernelError) {
            return if let name = kernels { try Kernels.named(name) } else { try Kernels.best() }
        } catch {
            throw .badOption(error.description)
        }
    }

    /// Everything that a session, or a batch, allocates or plans to.
    /// - Parameter shape: of a batch; nil for a session.
    func buffers(
        _ model: Model, context: Int, blockSize: Int, _ shape: BatchShape?, _ kernels: KernelTable, _ pool: WorkerPool,
        in memory: SessionMemory,
        selector: ForwardPass.SelectorFactory? = nil
    ) throws(RuntimeError) -> SessionBuffers {
        let forward = try ForwardPass(
            model, kernels: kernels, pool: pool, contextLimit: context, blockSize: blockSize, sparsity: sparsity,
            screensHead: screensHead, in: memory, selector: selector)
        let caches = try caches(model, context: context, shape, in: memory)
        let speculator = try speculator(
            model, forward, caches[0], context: context, blockSize: blockSize, kernels, pool, in: memory)
        let rows = speculator == nil ? caches.count : min(Speculation.longest + 1, blockSize)
        return SessionBuffers(
            forward: forward, caches: caches, logits: try AlignedBuffer(rows * model.config.vocabularySize, in: memory),
            speculator: speculator)
    }

    /// A session's cache is one page.
    private func caches(
        _ model: Model, context: Int, _ shape: BatchShape?, in memory: SessionMemory
    ) throws(RuntimeError) -> [KVCache] {
        let pages = try KVPages(
            model.config, positions: shape?.pageSize ?? context, count: shape?.pages(context: context) ?? 1,
            type: cacheType, in: memory)
        guard let shape else { return [try KVCache(onePage: pages, in: memory)] }
        return try (0..<shape.places).map { _ throws(RuntimeError) in try KVCache(pages, limit: context, in: memory) }
    }

    /// What makes drafts; nil without speculation.
    private func speculator(
        _ model: Model, _ forward: ForwardPass, _ cache: KVCache, context: Int, blockSize: Int, _ kernels: KernelTable,
        _ pool: WorkerPool, in memory: SessionMemory
    ) throws(RuntimeError) -> Speculator? {
        let longest = min(Speculation.longest, blockSize - 1)
        switch speculation {
        case .off: return nil
        case .promptLookup: return Speculator(PromptLookup(), longest: longest)
        case .selfDraft:
            let drafts = try SelfDrafts(
                forward, cache, limit: context, vocabularySize: model.config.vocabularySize, in: memory)
            return Speculator(drafts, longest: longest)
        case .draftModel(let draft):
            var options = self
            options.sparsity = .predicted()
            options.screensHead = true
            options.speculation = .off
            let context = min(context, draft.config.contextLength)
            let session = try Session(
                draft, options, context: context, blockSize: min(blockSize, context), kernels, pool, in: memory)
            return Speculator(
                ModelDrafts(session, vocabularySize: model.config.vocabularySize), longest: longest)
        }
    }

    /// - Throws: `RuntimeError.badOption` for a number that is out of range.
    private func check(_ model: Model) throws(RuntimeError) {
        guard (0...256).contains(threads) else {
            throw RuntimeError.badOption("\(threads) threads; 1 to 256 can be asked for, 0 takes all cores")
        }
        guard (1...4096).contains(blockSize) else {
            throw RuntimeError.badOption("a block of \(blockSize) tokens; 1 to 4096 are possible")
        }
        let most = model.config.contextLength
        guard (0...most).contains(context) else {
            throw RuntimeError.badOption("a context of \(context) tokens; this model has at most \(most)")
        }
        try sparsity.check()
        try speculation.check(model, sparsity)
    }

    /// The context that was asked for, or what there is without a limit to the memory.
    package func wantedContext(_ model: Model) -> Int {
        context == 0 ? min(model.config.contextLength, 8192) : context
    }

    /// The context and block size to use, and a batch's shape: those asked for, or less if there is a limit to the memory.
    /// - Parameter shape: of a batch; nil for a session.
    /// - Throws: `RuntimeError.badOption` for numbers out of range, or if nothing useful fits.
    func fitted(
        to model: Model, _ shape: BatchShape? = nil
    ) throws(RuntimeError) -> (context: Int, blockSize: Int, shape: BatchShape?) {
        try check(model)
        var shape = shape
        let most = try wantedContext(model, shape)
        let largest = min(blockSize, most)
        let system = memoryLimit == nil ? MemoryLimits.now() : MemoryLimits()
        // What was asked for is not made smaller.
        if context != 0 { try check(system, model, context: most, blockSize: largest, shape) }
        guard let limit = memoryLimit ?? (context == 0 ? limit(system, model) : nil) else {
            return (most, largest, shape)
        }
        func fits(_ context: Int, _ block: Int) throws(RuntimeError) -> Bool {
            try memoryNeeded(model, context: context, blockSize: block, shape) <= limit
        }
        // Small blocks cost speed, a short context costs memory of the text: first the blocks, down to where
        // they save nothing any more.
        let blocks = sequence(first: largest) { $0 > 4 ? max($0 / 2, 4) : nil }
        for block in blocks where try fits(most, block) { return (most, block, shape) }
        let smallest = min(largest, 4)
        // Texts seldom fill their contexts: what all have together goes before what each can have.
        while let contexts = shape?.contexts, contexts > 1, shape?.cachedTokens == 0 {
            shape?.contexts = contexts / 2
            if try fits(most, smallest) { return (most, smallest, shape) }
        }
        let least = context == 0 ? min(most, 64) : most
        guard try fits(least, smallest) else {
            if memoryLimit == nil {
                // Weights that are read again and again are slow, and better than nothing.
                try check(system, model, context: least, blockSize: smallest, shape)
                return (least, smallest, shape)
            }
            let need = try memoryNeeded(model, context: least, blockSize: smallest, shape)
            throw .badOption(
                "\(limit) bytes of memory are too little: a context of \(least) tokens needs \(need)"
                    + (cacheType == .half ? "; a cache of int8 needs less" : "")
                    + (context > least || context == most ? "; so does a smaller context" : ""))
        }
        // As much context as fits, found by halving: what is needed grows with it.
        var (low, high) = (least, most)
        while high - low > 1 {
            let middle = (low + high) / 2
            if try fits(middle, smallest) { low = middle } else { high = middle }
        }
        return (low, smallest, shape)
    }

    /// The limit that the system sets, in the terms of `memoryNeeded`; nil if it sets none.
    private func limit(_ limits: MemoryLimits, _ model: Model) -> Int? {
        // Pages of a mapped file are addresses already, but still have to be read into the group's memory.
        let group = limits.group.map { $0 - (model.file.gguf.file.isMapped ? model.file.gguf.file.size : 0) }
        // The stacks of all workers take addresses.
        let space = limits.addressSpace.map { $0 - (threads == 0 ? availableCores : threads) << 23 }
        guard let free = [group, space].compactMap({ $0 }).min() else { return nil }
        return max(Self.modelBytes(model) + free, 0)
    }

    /// The weights do not count here: pages of a file can be given back.
    /// - Throws: `RuntimeError.badOption` if the rest alone is more than the system lets this process have.
    private func check(
        _ limits: MemoryLimits, _ model: Model, context: Int, blockSize: Int, _ shape: BatchShape?
    ) throws(RuntimeError) {
        guard let free = [limits.group, limits.addressSpace].compactMap({ $0 }).min() else { return }
        let need = try memoryNeeded(model, context: context, blockSize: blockSize, shape) - Self.modelBytes(model)
        guard need > free else { return }
        throw .badOption(
            "a context of \(context) tokens needs \(need) bytes of memory, and a limit of the system (control group or "
                + "ulimit -v) leaves \(free); a smaller context needs less"
                + (cacheType == .half ? ", and so does a cache of int8" : ""))
    }

    /// The context to use if there is no limit to the memory: at most what a batch keeps of all texts.
    private func wantedContext(_ model: Model, _ shape: BatchShape?) throws(RuntimeError) -> Int {
        let wanted = wantedContext(model)
        guard let tokens = shape?.cachedTokens, tokens != 0 else { return wanted }
        guard max(context, 1)...1 << 40 ~= tokens else {
            throw .badOption("a cache of \(tokens) tokens for contexts of \(wanted)")
        }
        return min(wanted, tokens)
    }
}

extension ModelConfig {
    /// Bytes of the KV cache that a token takes, in half precision.
    package var cacheBytesPerToken: Int { KVPages.bytesPerPosition(self) }
}
