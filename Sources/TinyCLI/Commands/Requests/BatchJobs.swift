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
    private let chat: Result<ChatSetup?, Failure>
    private let isInOrder: Bool
    private let state = Mutex(State())
    /// Counts the queued requests.
    private let queued = DispatchSemaphore(value: 0)
    /// Counts the free places of the queue.
    private let places: DispatchSemaphore

    private struct State {
        var queue: [BatchRequest] = []
        /// The error that ended the work early.
        var error: Failure?
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
        _ batch: Batch, defaults: GenerationOptions, answered: Set<String>, chat: Result<ChatSetup?, Failure>,
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
    func run() throws(Failure) {
        guard let thread = SystemThread({ self.work() }) else { return try runAlone() }
        do throws(Failure) {
            try forEachRequest { request throws(Failure) in
                places.wait()
                try state.withLock { state throws(Failure) in
                    if let error = state.error { throw error }
                    state.queue.append(request)
                }
                queued.signal()
            }
        } catch {
            state.withLock { if $0.error == nil { $0.error = error } }
        }
        // A signal without a request says that there are no more.
        queued.signal()
        thread.join()
        try checkFailure()
    }

    /// Where the system allows no more threads: one request after another.
    private func runAlone() throws(Failure) {
        var work = Work()
        try forEachRequest { request throws(Failure) in
            try begin(request, &work)
            while !batch.isIdle {
                for output in batch.step() { try take(output, &work) }
                try Signals.check()
            }
        }
    }

    private func forEachRequest(_ body: (BatchRequest) throws(Failure) -> Void) throws(Failure) {
        try RequestLine.forEach(of: LineReader(), except: answered) { line throws(Failure) in
            try body(BatchRequest(line: line))
        }
    }

    /// - Throws: the error that ended the work early, if one did.
    private func checkFailure() throws(Failure) {
        if let error = state.withLock({ $0.error }) { throw error }
    }

    /// Answers requests until there are no more, or one ends all.
    private func work() {
        do throws(Failure) {
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
                try checkFailure()
            }
        } catch {
            state.withLock { if $0.error == nil { $0.error = error } }
            // The reading thread may be waiting for a place.
            places.signal()
        }
    }

    private func next() throws(Failure) -> BatchRequest? {
        try state.withLock { state throws(Failure) in
            if let error = state.error { throw error }
            return state.queue.isEmpty ? nil : state.queue.removeFirst()
        }
    }

    private func begin(_ request: BatchRequest, _ work: inout Work) throws(Failure) {
        let number = work.begun
        work.begun += 1
        let problem: String
        do throws(Failure) {
            let (ids, options) = try request.prompt(batch.model.tokenizer, defaults, chat)
            do throws(RuntimeError) {
                work.open[try batch.add(ids, options)] = (request, number, ids.count, "")
                return
            } catch {
                problem = error.description
            }
        } catch {
            guard case .problem(let message) = error else { throw error }
            problem = message
        }
        try write(request.line.failure(problem), number, &work)
    }

    private func take(_ output: Batch.Output, _ work: inout Work) throws(Failure) {
        work.open[output.id]!.text += output.text
        guard output.isLast else { return }
        let (request, number, promptTokens, text) = work.open.removeValue(forKey: output.id)!
        try write(request.answer(text, promptTokens: promptTokens, output), number, &work)
    }

    /// Writes an answer, or keeps it until its turn comes.
    private func write(_ answer: String, _ number: Int, _ work: inout Work) throws(Failure) {
        guard isInOrder else { return try Console.writeLine(answer) }
        work.waiting[number] = answer
        while let next = work.waiting.removeValue(forKey: work.written) {
            work.written += 1
            try Console.writeLine(next)
        }
    }
}
