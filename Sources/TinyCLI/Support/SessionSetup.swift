import TinyRuntime

extension Session.Options {
    /// Made before a model is opened, for a mistake in the command line should not wait for that.
    /// - Throws: `Failure.usage`.
    init(_ arguments: Arguments, context: Int? = nil) throws(Failure) {
        self.init()
        threads = try arguments.integer("threads", in: 1...256) ?? 0
        let asked = try arguments.integer("context", in: 1...(1 << 24))
        self.context = context ?? asked ?? 0
        kernels = arguments.string("kernels")
        if let name = arguments.string("cache") {
            guard let type = CacheType(rawValue: name) else {
                throw .usage("--cache \(escaped(name, limit: 80)): half or int8 is needed")
            }
            cacheType = type
        }
        memoryLimit = try arguments.bytes("memory-limit")
        sparsity = try Sparsity(arguments)
        screensHead = try LMHeadScreenOption.isOn(arguments, sparsity)
    }
}

extension Session {
    /// - Throws: `Failure.problem` with the reason, also for a model that cannot be sparse.
    static func open(_ model: Model, _ options: Options) throws(Failure) -> Session {
        guard !options.sparsity.needsPredictors || !model.config.predictors.isEmpty else {
            throw .problem(
                "\(escaped(model.config.name)) has no predictors, so nothing says what to leave out; "
                    + "leave --sparsity out or try oracle:SHARE")
        }
        do { return try Session(model, options) } catch { throw Failure(error) }
    }

    /// Reads a prompt in pieces, so that Ctrl-C works in a long text too; results do not depend on pieces.
    /// - Throws: `Failure.problem` with the reason, `Failure.interrupted`.
    func readInterruptibly(_ ids: [Int32]) throws(Failure) {
        guard ids.count <= contextLimit - tokens.count else {
            throw Failure(RuntimeError.contextFull(limit: contextLimit))
        }
        for start in stride(from: 0, to: ids.count, by: 128) {
            try Signals.check()
            do { try readPrompt(ids[start..<min(start + 128, ids.count)]) } catch { throw Failure(error) }
        }
    }

    /// Reads a token as if it had been written, the likeliest next one wanted.
    /// - Throws: `Failure.problem` with the reason, `Failure.interrupted`.
    func readWritten(_ id: Int32) throws(Failure) {
        try Signals.check()
        do { try read(CollectionOfOne(id), likeliest: 1) } catch { throw Failure(error) }
    }

    /// Writes on after what was read.
    /// - Throws: `Failure.problem` with the reason.
    func begin(_ options: GenerationOptions) throws(Failure) -> Generation {
        do { return try generation(prompt: [], options) } catch { throw Failure(error) }
    }
}

extension Generation {
    /// - Throws: `Failure.problem` with the reason.
    mutating func nextPiece() throws(Failure) -> String? {
        do { return try next() } catch { throw Failure(error) }
    }
}
