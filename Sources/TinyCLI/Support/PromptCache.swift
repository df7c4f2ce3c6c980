// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import TinySupport

extension Option {
    /// A file that keeps the evaluated prompt.
    static let promptCache = [
        Option(
            "prompt-cache", value: "FILE",
            "keep the evaluated prompt in FILE; a prompt that begins alike goes on from there, with the same result"),
        Option("prompt-cache-read-only", "use the FILE of --prompt-cache and never write it"),
    ]
}

/// The file of `--prompt-cache`: what a session has read of a prompt, for processes to come.
final class PromptCache {
    private let path: String
    private let isReadOnly: Bool
    /// Whether the file lacks a part of the prompt.
    private var isIncomplete = true

    /// - Returns: nil without the option.
    /// - Throws: `Failure.usage`.
    init?(_ arguments: Arguments) throws(Failure) {
        isReadOnly = arguments.has("prompt-cache-read-only")
        guard let path = arguments.string("prompt-cache") else {
            if isReadOnly { throw .usage("--prompt-cache-read-only needs --prompt-cache FILE") }
            return nil
        }
        self.path = path
    }

    /// Takes over what the file has of a prompt, all but its last token at most.
    /// - Returns: how many tokens that is; 0 if there is no file yet.
    /// - Throws: `Failure.problem` for a file that cannot be used, and for one that will not be written.
    func restore(_ session: Session, for prompt: [Int32]) throws(Failure) -> Int {
        do throws(FormatError) {
            guard isReadOnly || fileExists(path) else {
                // Before the work and not after it.
                _ = try AtomicFile(path: path)
                return 0
            }
            let saved = try SavedState(path: path, of: session.model)
            isIncomplete = saved.common(with: prompt) < prompt.count
            return try session.restore(saved, for: prompt)
        } catch {
            throw Failure(error)
        }
    }

    /// Writes what the session has read, the first time and if the file has not all of it.
    func save(_ session: Session) {
        guard isIncomplete, !isReadOnly else { return }
        isIncomplete = false
        do throws(FormatError) {
            try session.save(to: path)
        } catch {
            // The text is none the worse for it.
            Console.note("note: the prompt was not kept: \(escaped(error.description))")
        }
    }
}
