import TinyPlatform

/// Resolves the default model.
enum ModelLocation {
    static let defaultName = "tinysparse-fairy.gguf"

    /// The model given, or that of the environment, or the one that comes with the program.
    /// - Throws: `Failure.problem` with the paths that were tried.
    static func find(_ given: String?) throws(Failure) -> String {
        if let given { return given }
        if let variable = getenv("TINYSPARSE_MODEL"), variable.pointee != 0 { return String(cString: variable) }
        let candidates = ["models/" + defaultName] + besideExecutable
        if let found = candidates.first(where: { access($0, R_OK) == 0 }) { return found }
        throw .problem(
            "no model: name one with -m MODEL or TINYSPARSE_MODEL; looked for "
                + "\(candidates.map { escaped($0) }.joined(separator: ", "))")
    }

    /// models/NAME in the folders above the executable, which may be in .build/release or installed next to
    /// its models.
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
