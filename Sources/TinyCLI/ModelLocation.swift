import TinyConversion
import TinyFormats
import TinyPlatform
import TinyRuntime

/// Where the model is that nobody named.
enum ModelLocation {
    static let defaultName = "tinysparse-fairy.gguf"

    /// The model given, or that of the environment, or the one that comes with the program.
    /// - Throws: `Failure.problem` that says where it was looked for.
    static func find(_ given: String?) throws(Failure) -> String {
        if let given { return given }
        if let variable = getenv("TINYSPARSE_MODEL"), variable.pointee != 0 { return String(cString: variable) }
        let candidates = ["models/" + defaultName] + besideExecutable
        if let found = candidates.first(where: { access($0, R_OK) == 0 }) { return found }
        throw .problem(
            "no model: name one with -m MODEL or TINYSPARSE_MODEL; looked for "
                + "\(candidates.map { escaped($0) }.joined(separator: ", "))")
    }

    /// models/NAME in the folders above the executable, as it may lie in .build/release or be installed
    /// beside its models.
    private static var besideExecutable: [String] {
        let path = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
            let count = readlink("/proc/self/exe", buffer.baseAddress!, buffer.count)
            return String(decoding: buffer[..<max(count, 0)], as: UTF8.self)
        }
        var folder = path[...]
        var candidates: [String] = []
        while candidates.count < 5, let slash = folder.lastIndex(of: "/") {
            folder = folder[..<slash]
            candidates.append(folder + "/models/" + defaultName)
        }
        return candidates
    }
}

/// Opening a model as the options say.
extension Model {
    /// - Throws: `Failure.problem` with the reason, `Failure.interrupted`.
    static func open(_ given: String?, _ arguments: Arguments) throws(Failure) -> Model {
        let model = try opened(given, arguments)
        try HeadScreenOption.check(arguments, model)
        return model
    }

    private static func opened(_ given: String?, _ arguments: Arguments) throws(Failure) -> Model {
        let path = try ModelLocation.find(given)
        let verify = !arguments.has("no-verify")
        do {
            #if hasFeature(Embedded)
            return try Model(NativeModelFile(path: path, verify: verify))
            #else
            // Whoever counts bytes wants no second copy of the weights.
            let residence = arguments.has("memory-limit") ? WeightResidence.mapped : .automatic
            return try isNativeModel(path) ? Model(path: path, verify: verify, residence: residence) : converted(path)
            #endif
        } catch {
            throw Failure(error)
        }
    }

    #if !hasFeature(Embedded)
    private static func converted(_ path: String) throws -> Model {
        var progress = Console.Progress()
        defer { progress.clear() }
        let image = try nativeImage(path) { event in
            try Signals.check()
            if case .tensor(_, let number, let count) = event {
                progress.show("converting in memory \(number)/\(count) (tinysparse convert saves that)")
            }
        }
        return try Model(NativeModelFile(image: image, verify: false))
    }
    #endif
}

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
        screensHead = try HeadScreenOption.isOn(arguments, sparsity)
    }
}

extension Session {
    /// - Throws: `Failure.problem` with the reason, also for a model that cannot be sparse.
    static func open(_ model: Model, _ options: Options) throws(Failure) -> Session {
        guard !options.sparsity.needsPredictors || !model.config.predictors.isEmpty else {
            throw .problem(
                "\(escaped(model.config.name)) has no predictors, so nothing says what to leave out; "
                    + "leave --sparsity out")
        }
        do { return try Session(model, options) } catch { throw Failure(error) }
    }

    /// Prefills a prompt; Ctrl-C ends it between two blocks.
    /// - Throws: `Failure.problem` with the reason, `Failure.interrupted`.
    func readInterruptibly(_ ids: [Int32]) throws(Failure) {
        let isComplete: Bool
        do { isComplete = try prefill(ids, while: { Signals.pending == 0 }) } catch { throw Failure(error) }
        guard isComplete else { throw Signals.failure }
    }

    /// Reads a token as if it had been written, the likeliest next one wanted.
    /// - Throws: `Failure.problem` with the reason, `Failure.interrupted`.
    func readWritten(_ id: Int32) throws(Failure) {
        try Signals.check()
        do { try decode(id, topK: 1) } catch { throw Failure(error) }
    }

    /// Prefills a prompt and generates after it; Ctrl-C cancels the generation, in the prompt between two blocks.
    /// - Throws: `Failure.problem` with the reason.
    func begin(_ prompt: [Int32], _ options: GenerationOptions) throws(Failure) -> Generation {
        do { return try generation(prompt: prompt, options, while: { Signals.pending == 0 }) } catch { throw Failure(error) }
    }
}

extension Generation {
    /// - Throws: `Failure.problem` with the reason.
    mutating func nextPiece() throws(Failure) -> String? {
        do { return try next() } catch { throw Failure(error) }
    }
}
