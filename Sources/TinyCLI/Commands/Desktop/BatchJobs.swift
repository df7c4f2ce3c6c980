// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Synchronization
import TinyPlatform
import TinyRuntime
import TinySupport

/// Answers the requests of standard input on standard output, with one or more sessions.
final class BatchRunner: Sendable {
    private let defaults: GenerationOptions
    private let answered: Set<String>
    /// The chat template, or why there is none.
    private let chat: Result<ChatSetup?, any Error>
    private let makeSession: @Sendable () throws -> Session
    private let state = Mutex(State())
    /// Counts the queued requests.
    private let queued = DispatchSemaphore(value: 0)
    /// Counts the free places of the queue.
    private let places = DispatchSemaphore(value: 0)

    private struct State {
        var queue: [BatchRequest] = []
        /// The error that ended a job early.
        var error: (any Error)?
    }

    init(
        defaults: GenerationOptions, answered: Set<String>, chat: Result<ChatSetup?, any Error>,
        makeSession: @escaping @Sendable () throws -> Session
    ) {
        self.defaults = defaults
        self.answered = answered
        self.chat = chat
        self.makeSession = makeSession
    }

    /// One request after another.
    /// - Throws: `Failure`, or the error of creating a session.
    func runInOrder() throws {
        let session = try makeSession()
        try forEachRequest { try answer($0, session) }
    }

    /// Concurrent requests, on `jobs` threads with a session each.
    /// - Throws: As above; the first error of a job ends all.
    func run(_ jobs: Int) throws {
        for _ in 0..<2 * jobs { places.signal() }
        let threads = (0..<jobs).compactMap { _ in SystemThread { self.work() } }
        guard threads.count == jobs else {
            throw Failure.problem(
                "the system allows only \(threads.count) of \(jobs) threads; use fewer --jobs")
        }
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
        // A signal without a request tells a job that there are no more.
        for _ in 0..<jobs { queued.signal() }
        for thread in threads { thread.join() }
        try state.withLock { if let error = $0.error { throw error } }
    }

    private func forEachRequest(_ body: (BatchRequest) throws -> Void) throws {
        var reader = LineReader()
        var line = 0
        while true {
            try Signals.check()
            switch try reader.next() {
            case .end: return
            case .interrupted: continue
            case .text(let text):
                line += 1
                guard let request = BatchRequest(line == 1 ? text.withoutByteOrderMark : text, line: line) else {
                    continue
                }
                if !answered.contains(request.id) { try body(request) }
            }
        }
    }

    private func answer(_ request: BatchRequest, _ session: Session) throws {
        let answer: String
        do {
            answer = try request.answer(session, defaults, chat)
        } catch Failure.problem(let message) {
            answer = request.failure(message)
        } catch let error as Failure {
            throw error
        } catch {
            answer = request.failure("\(error)")
        }
        // Under the lock, so that lines are not interleaved.
        try state.withLock { _ in try Console.writeLine(answer) }
    }

    /// Answers requests until there are no more or a job failed.
    private func work() {
        do {
            let session = try makeSession()
            while true {
                queued.wait()
                let request = try state.withLock { state throws -> BatchRequest? in
                    if let error = state.error { throw error }
                    return state.queue.isEmpty ? nil : state.queue.removeFirst()
                }
                guard let request else { return }
                places.signal()
                try answer(request, session)
            }
        } catch {
            state.withLock { if $0.error == nil { $0.error = error } }
            // The reading thread may be waiting for a place.
            places.signal()
        }
    }
}

extension String {
    /// Without the mark that some editors put at the beginning of a text.
    fileprivate var withoutByteOrderMark: String {
        unicodeScalars.first == "\u{FEFF}" ? String(unicodeScalars.dropFirst()) : self
    }
}

extension Console {
    /// Truncates standard output to `size` bytes if it is the file `path`.
    static func cutOutput(ifItIs path: String, to size: Int) {
        var file = stat(), output = stat()
        guard stat(path, &file) == 0, fstat(STDOUT_FILENO, &output) == 0,
            file.st_dev == output.st_dev, file.st_ino == output.st_ino
        else { return }
        _ = ftruncate(STDOUT_FILENO, size)
    }
}
