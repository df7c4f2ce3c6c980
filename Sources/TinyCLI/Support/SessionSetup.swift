// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats
import TinyRuntime

extension Arguments {
    /// The value of --threads; 0 if it was not given: all cores.
    func threads() throws(Failure) -> Int { try integer("threads", in: 1...256) ?? 0 }

    /// The value of --kernels, or nil if it was not given.
    /// - Throws: `Failure.problem` if it, or TINYSPARSE_KERNELS without it, names a set that cannot run here.
    func kernels() throws(Failure) -> String? {
        let name = string("kernels")
        do throws(KernelError) {
            _ = if let name { try Kernels.named(name) } else { try Kernels.best() }
        } catch {
            throw .problem((name == nil ? "TINYSPARSE_KERNELS" : "--kernels") + ": " + escaped(error.description))
        }
        return name
    }
}

extension Session.Options {
    /// Parsed before the model is opened, so that errors of the command line come without delay.
    /// - Throws: `Failure.usage`; `Failure.problem` for kernels that cannot run here.
    init(_ arguments: Arguments, context: Int? = nil) throws(Failure) {
        self.init()
        threads = try arguments.threads()
        let given = try arguments.integer("context", in: 1...(1 << 24))
        self.context = context ?? given ?? 0
        if let name = arguments.string("cache") {
            guard let type = CacheType(rawValue: name) else { throw arguments.invalid("cache", "half or int8") }
            cacheType = type
        }
        memoryLimit = try arguments.bytes("memory-limit")
        sparsity = try Sparsity(arguments)
        screensHead = try LMHeadScreenOption.isOn(arguments, sparsity)
        kernels = try arguments.kernels()
    }
}

extension Session.Options {
    /// - Throws: `Failure.problem` for a model without the predictors that the options need.
    func requirePredictors(of model: Model) throws(Failure) {
        guard !sparsity.needsPredictors || !model.config.predictors.isEmpty else {
            throw .problem(
                "\(escaped(model.config.name)) has no predictors, which --sparsity SHARE needs; "
                    + "omit --sparsity")
        }
    }
}

extension Session {
    /// - Throws: `Failure.problem` with the reason, also for a model without the predictors that the options need.
    static func open(_ model: Model, _ options: Options) throws(Failure) -> Session {
        try options.requirePredictors(of: model)
        do { return try Session(model, options) } catch { throw Failure(error) }
    }

    /// Prefills a prompt; Ctrl-C ends it between two blocks.
    /// - Throws: `Failure.problem` with the reason, `Failure.interrupted`.
    func prefillInterruptibly(_ ids: [Int32]) throws(Failure) {
        let isComplete: Bool
        do { isComplete = try prefill(ids, while: { Signals.pending == 0 }) } catch { throw Failure(error) }
        guard isComplete else { throw Signals.failure }
    }

    /// Decodes a token as generation does, for the argmax of the next one.
    /// - Throws: `Failure.problem` with the reason, `Failure.interrupted`.
    func decodeInterruptibly(_ id: Int32) throws(Failure) {
        try Signals.check()
        do { try decode(id, topK: 1) } catch { throw Failure(error) }
    }

    /// Prefills a prompt and generates after it; Ctrl-C cancels the generation, in the prompt between two blocks.
    /// - Throws: `Failure.problem` with the reason.
    func begin(_ prompt: [Int32], _ options: GenerationOptions) throws(Failure) -> Generation {
        do { return try generation(prompt: prompt, options, while: { Signals.pending == 0 }) } catch {
            throw Failure(error)
        }
    }
}

extension Generation {
    /// The next piece; Ctrl-C cancels the generation where a full context is evaluated anew.
    /// - Throws: `Failure.problem` with the reason.
    mutating func nextPiece() throws(Failure) -> String? {
        do { return try next(while: { Signals.pending == 0 }) } catch { throw Failure(error) }
    }
}
