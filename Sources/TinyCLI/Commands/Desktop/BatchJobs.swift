// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Synchronization
import TinyPlatform
import TinyRuntime

/// Answers the requests of standard input on standard output, many at a time.
final class BatchRunner: @unchecked Sendable {
    private let batch: Batch
    private let defaults: GenerationOptions
    private let answered: Set<String>
    /// The chat template, or why there is none.
    private let chat: Result<ChatSetup?, any Error>
    private let isInOrder: Bool
    private let state = Mutex(State())
    /// Counts the queued requests.
    private let queued = DispatchSemaphore(value: 0)
    /// Counts the free places of the queue.
    private let places: DispatchSemaphore

    private struct State {
        var queue: [BatchRequest] = []
        /// The error that ended the work early.
        var error: (any Error)?
    }

    /// Requests at work, by the number of their sequence; and, in order, answers that wait for earlier ones.
    private struct Work {
        var open: [Batch.ID: (request: BatchRequest, number: Int, promptTokens: Int, text: String)] = [:]
        var begun = 0
        var written = 0
        var waiting: [Int: String] = [:]
    }

    /// - Parameter inOrder: whether answers come in the order of the requests.
    init(
        _ batch: Batch, defaults: GenerationOptions, answered: Set<String>, chat: Result<ChatSetup?, any Error>,
        inOrder: Bool
    ) {
        self.batch = batch
        self.defaults = defaults
        self.answered = answered
        self.chat = chat
        isInOrder = inOrder
        places = DispatchSemaphore(value: 2 * batch.places)
    }

    /// Reads requests on this thread, and answers them on another.
    /// - Throws: `Failure`, or the first error that ends all.
    func run() throws {
        guard let thread = SystemThread({ self.work() }) else { return try runAlone() }
        do {
            try forEachRequest { request in
                places.wait()
                try state.withLock {
                    if let error = $0.error { throw error }
                    $0.queue.append(request)
                }
                queued.signal()
            }
        } catch {
            state.withLock { if $0.error == nil { $0.error = error } }
        }
        // A signal without a request says that there are no more.
        queued.signal()
        thread.join()
        try state.withLock { if let error = $0.error { throw error } }
    }

    /// Where the system allows no more threads: one request after another.
    private func runAlone() throws {
        var work = Work()
        try forEachRequest { request in
            try begin(request, &work)
            while !batch.isIdle {
                for output in batch.step() { try take(output, &work) }
                try Signals.check()
            }
        }
    }

    private func forEachRequest(_ body: (BatchRequest) throws -> Void) throws {
        try RequestLine.forEach(of: LineReader(), except: answered) { try body(BatchRequest(line: $0)) }
    }

    /// Answers requests until there are no more, or one ends all.
    private func work() {
        do {
            var work = Work()
            var isEnd = false
            while !isEnd || !batch.isIdle {
                while !isEnd, batch.hasPlace {
                    // Waits only if there is nothing to compute.
                    if batch.isIdle { queued.wait() } else if queued.wait(timeout: .now()) == .timedOut { break }
                    guard let request = try next() else {
                        isEnd = true
                        break
                    }
                    places.signal()
                    try begin(request, &work)
                }
                for output in batch.step() { try take(output, &work) }
                // After the end of the input nobody else looks for signals.
                try Signals.check()
                try state.withLock { if let error = $0.error { throw error } }
            }
        } catch {
            state.withLock { if $0.error == nil { $0.error = error } }
            // The reading thread may be waiting for a place.
            places.signal()
        }
    }

    private func next() throws -> BatchRequest? {
        try state.withLock { state in
            if let error = state.error { throw error }
            return state.queue.isEmpty ? nil : state.queue.removeFirst()
        }
    }

    private func begin(_ request: BatchRequest, _ work: inout Work) throws {
        let number = work.begun
        work.begun += 1
        do {
            let (ids, options) = try request.prompt(batch.model.tokenizer, defaults, chat)
            work.open[try batch.add(ids, options)] = (request, number, ids.count, "")
        } catch Failure.problem(let message) {
            try write(request.line.failure(message), number, &work)
        } catch let error as Failure {
            throw error
        } catch {
            try write(request.line.failure("\(error)"), number, &work)
        }
    }

    private func take(_ output: Batch.Output, _ work: inout Work) throws {
        work.open[output.id]!.text += output.text
        guard output.isLast else { return }
        let (request, number, promptTokens, text) = work.open.removeValue(forKey: output.id)!
        try write(request.answer(text, promptTokens: promptTokens, output), number, &work)
    }

    /// Writes an answer, or keeps it until its turn comes.
    private func write(_ answer: String, _ number: Int, _ work: inout Work) throws {
        guard isInOrder else { return try Console.writeLine(answer) }
        work.waiting[number] = answer
        while let next = work.waiting.removeValue(forKey: work.written) {
            work.written += 1
            try Console.writeLine(next)
        }
    }
}
