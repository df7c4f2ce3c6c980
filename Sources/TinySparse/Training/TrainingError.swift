// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import TinySupport

/// How a training can end without a model.
package enum TrainingError: Error, Equatable, CustomStringConvertible {
    /// An option does not fit the model, or there is no memory.
    case runtime(RuntimeError)
    /// A file cannot be read or written.
    case file(FormatError)
    /// The caller ended the training; what was finished is in the state file.
    case stopped

    static func badOption(_ message: String) -> TrainingError { .runtime(.badOption(message)) }

    package var description: String {
        switch self {
        case .runtime(let error): error.description
        case .file(let error): error.description
        case .stopped: "the training was stopped"
        }
    }
}

/// The value of a call of the runtime, whose error becomes one of a training.
func ofRuntime<T>(_ call: @autoclosure () throws(RuntimeError) -> T) throws(TrainingError) -> T {
    do { return try call() } catch { throw .runtime(error) }
}

/// The value of a call that reads or writes files, whose error becomes one of a training.
func ofFiles<T>(_ call: @autoclosure () throws(FormatError) -> T) throws(TrainingError) -> T {
    do { return try call() } catch { throw .file(error) }
}
