import TinyConversion
import TinyFormats
import TinyRuntime

/// Opens models as the command line says.
extension Model {
    /// - Throws: `Failure.problem` with the reason, `Failure.interrupted`.
    static func open(_ given: String?, _ arguments: Arguments) throws(Failure) -> Model {
        let model = try opened(given, arguments)
        try LMHeadScreenOption.check(arguments, model)
        return model
    }

    private static func opened(_ given: String?, _ arguments: Arguments) throws(Failure) -> Model {
        let path = try ModelLocation.find(given)
        let verify = !arguments.has("no-verify")
        do {
            #if hasFeature(Embedded)
            return try Model(NativeModelFile(path: path, verify: verify))
            #else
            // Under a memory limit the weights stay in the page cache: no private copy.
            let residence = arguments.has("memory-limit") ? NativeModelFile.Residence.mapped : .automatic
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
                progress.show("converting in memory \(number)/\(count) (tinysparse convert does it once for all)")
            }
        }
        return try Model(NativeModelFile(image: image, verify: false))
    }
    #endif
}
