// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// A request as the engine has it: texts that are answered as one.
struct Job: Sendable {
    typealias ID = Int

    /// A text to generate.
    struct Text: Sendable {
        /// Token ids.
        let prompt: [Int32]
        let options: GenerationOptions
    }

    let id: ID
    let texts: [Text]
    let continuation: AsyncThrowingStream<Answer.Event, any Error>.Continuation
}

/// What comes of a request.
struct Answer: Sendable {
    enum Event: Sendable {
        /// Its texts have joined the batch: from here on it is a valid request.
        case begun
        /// What a step made of one of its texts, by the text's index.
        case output(Int, Batch.Output)
    }

    /// Ends with the last text's last output; or by `RuntimeError`, `EngineError`.
    let events: AsyncThrowingStream<Event, any Error>
    /// Ends the request early; nothing happens if it has ended.
    let cancel: @Sendable () -> Void
}
