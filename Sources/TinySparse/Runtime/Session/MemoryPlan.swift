import SIMDKernels
import TinyFormats
import TinyPlatform

extension Session.Options {
    /// What the process takes besides models and sessions: code, stacks, the allocator's rest.
    private static let programBytes = 12 << 20

    /// Bytes that a process needs with this model and one session with these options, all of the context in
    /// use. The weights count in full: mapped pages can be given back, but a token needs all of them.
    ///
    /// - Parameters:
    ///   - context: most tokens the session can hold.
    ///   - blockSize: most tokens of a prompt that go through a layer together.
    package func memoryNeeded(_ model: Model, context: Int, blockSize: Int) -> Int {
        let fixed = Self.modelBytes(model) + bytesOfWorkers(model.config, context: context)
        return fixed + context * bytesPerPosition(model.config) + blockSize * bytesPerBlockToken(model.config)
    }

    /// The part of `memoryNeeded` that all sessions of a process share.
    package static func modelBytes(_ model: Model) -> Int {
        // A token of the vocabulary costs its text, its place in two tables and its merge.
        programBytes + model.file.gguf.file.size + 300 * model.config.vocabularySize
    }

    private func bytesPerPosition(_ config: ModelConfig) -> Int {
        var bytes = KVCache.bytesPerPosition(config, cacheType) + 4
        if case .rope(_, _, let dims, _) = config.positions { bytes += 4 * dims }
        return bytes
    }

    /// Activations of one token of a block.
    private func bytesPerBlockToken(_ config: ModelConfig) -> Int {
        func quantized(_ width: Int) -> Int { (width + groupSize - 1) / groupSize * (groupSize + 8) }
        let hidden = 8 * config.dModel + 2 * quantized(config.dModel)
        let attention = 8 * (config.dQuery + config.dKV) + quantized(config.dQuery)
        let mlp = 4 * config.dFF * (config.gated ? 2 : 1) + quantized(config.dFF)
        if case .off = sparsity { return hidden + attention + mlp }
        return hidden + attention + mlp + 12 * config.dFF + 8 * config.nHeads + 6 * 4096
    }

    /// Scratch of the threads, and the logits.
    private func bytesOfWorkers(_ config: ModelConfig, context: Int) -> Int {
        let count = threads == 0 ? availableCores : threads
        let widest = max(config.dModel, config.dQuery, config.dFF, 4096) + groupSize
        let tallest = max(config.dModel, config.dFF) + 64
        let tile = 4 * QueryTile.most * (2 * paddedHead(config.headDim) + context)
        let each = max(widest * 64, 8 * tallest) + tile + 65_536
        let screen = screensHead && config.predictors.screen != nil ? 9 * config.vocabularySize : 0
        return count * each + 4 * config.vocabularySize + screen + widest / groupSize * 4 * tallest
    }

    /// The context and block size to use: those asked for, or less if there is a limit to the memory.
    /// - Throws: `RuntimeError.badOption` if nothing useful fits.
    func fitted(to model: Model, context most: Int) throws(RuntimeError) -> (context: Int, blockSize: Int) {
        let largest = min(blockSize, most)
        guard let memoryLimit else { return (most, largest) }
        func fits(_ context: Int, _ block: Int) -> Bool {
            memoryNeeded(model, context: context, blockSize: block) <= memoryLimit
        }
        // Small blocks cost speed, a short context costs memory of the text: first the blocks, down to where
        // they save nothing any more.
        let blocks = sequence(first: largest) { $0 > 4 ? max($0 / 2, 4) : nil }
        if let block = blocks.first(where: { fits(most, $0) }) { return (most, block) }
        let smallest = min(largest, 4)
        let least = context == 0 ? min(most, 64) : most
        guard fits(least, smallest) else {
            let need = memoryNeeded(model, context: least, blockSize: smallest)
            throw .badOption(
                "\(memoryLimit) bytes of memory are too little: a context of \(least) tokens needs \(need)"
                    + (cacheType == .half ? "; a cache of int8 needs less" : "")
                    + (context > least || context == most ? "; so does a smaller context" : ""))
        }
        // As much context as fits, found by halving: what is needed grows with it.
        var (low, high) = (least, most)
        while high - low > 1 {
            let middle = (low + high) / 2
            if fits(middle, smallest) { low = middle } else { high = middle }
        }
        return (low, smallest)
    }
}

extension ModelConfig {
    /// Bytes of the KV cache that a token takes, in half precision.
    package var cacheBytesPerToken: Int { KVCache.bytesPerPosition(self) }
}
