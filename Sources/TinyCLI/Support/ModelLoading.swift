// SPDX-License-Identifier: Apache-2.0

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
        // Under a memory limit the weights stay in the page cache: no private copy.
        let residence = arguments.has("memory-limit") ? WeightResidence.mapped : .automatic
        do {
            var progress = Console.Progress()
            defer { progress.clear() }
            return try Model(path: path, verify: verify, residence: residence) { event in
                switch event {
                case .note(let text):
                    progress.clear()
                    Console.note("note: \(escaped(text))")
                case .tensor(_, let number, let count):
                    progress.show("converting in memory \(number)/\(count) (tinysparse convert does it once for all)")
                }
                return Signals.pending == 0
            }
        } catch {
            throw Failure(error)
        }
    }
}
