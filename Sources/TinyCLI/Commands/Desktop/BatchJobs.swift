import Dispatch
import Synchronization
import TinyPlatform
import TinyRuntime
import TinySupport

/// Answers the requests of standard input on standard output, with one or more sessions.
final class Batch: Sendable {
    private let defaults: GenerationOptions
    private let answered: Set<String>
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

    init(defaults: GenerationOptions, answered: Set<String>, makeSession: @escaping @Sendable () throws -> Session) {
        self.defaults = defaults
        self.answered = answered
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
        let threads = startThreads(jobs)
        guard threads.count == jobs else { throw Failure.problem("cannot start \(jobs) threads") }
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
        for thread in threads { pthread_join(thread, nil) }
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
                guard let request = BatchRequest(text, line: line) else { continue }
                if !answered.contains(request.id.text(depth: 0)) { try body(request) }
            }
        }
    }

    private func answer(_ request: BatchRequest, _ session: Session) throws {
        let answer: JSON
        do {
            answer = try request.answer(session, defaults)
        } catch Failure.problem(let message) {
            answer = request.failure(message)
        } catch let error as Failure {
            throw error
        } catch {
            answer = request.failure("\(error)")
        }
        let text = answer.text(depth: 0)
        // Under the lock, so that lines are not interleaved.
        try state.withLock { _ in try Console.writeLine(text) }
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

    /// Starts threads that block all signals: signals have to interrupt the thread that reads the input.
    private func startThreads(_ count: Int) -> [pthread_t] {
        var all = sigset_t(), before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        return (0..<count).compactMap { _ in
            var thread = pthread_t()
            let context = Unmanaged.passRetained(self).toOpaque()
            let code = pthread_create(&thread, nil, { context in
                Unmanaged<Batch>.fromOpaque(context!).takeRetainedValue().work()
                return nil
            }, context)
            return code == 0 ? thread : nil
        }
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
