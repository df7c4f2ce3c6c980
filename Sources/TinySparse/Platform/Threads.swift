// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A thread of the system. All signals are blocked in it: they are for the thread that waits for input.
package struct SystemThread {
    private let thread: pthread_t

    /// Starts a thread that runs `work`; nil if the system does not allow another one.
    package init?(_ work: @escaping @Sendable () -> Void) {
        var all = sigset_t(), before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let start = Unmanaged.passRetained(Start(work: work))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { context in
                Unmanaged<Start>.fromOpaque(context!).takeRetainedValue().work()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            return nil
        }
        self.thread = thread
    }

    /// Waits until the thread has ended. Either this or `detach` has to be called.
    package func join() { pthread_join(thread, nil) }

    /// Leaves the thread to itself.
    package func detach() { pthread_detach(thread) }

    private final class Start: Sendable {
        let work: @Sendable () -> Void
        init(work: @escaping @Sendable () -> Void) { self.work = work }
    }
}

/// Calls `body(piece)` once for every piece in `0 ..< pieces`, on all cores, and returns when all calls have returned.
///
/// The calling thread works, too, and alone if the system allows no other: Dispatch would wait for a thread forever.
package func concurrently(_ pieces: Int, _ body: (Int) -> Void) {
    withoutActuallyEscaping(body) { body in
        let work = Pieces(count: pieces, body: body)
        var threads: [SystemThread] = []
        while threads.count < min(pieces, availableCores) - 1, let thread = SystemThread({ work.run() }) {
            threads.append(thread)
        }
        work.run()
        for thread in threads { thread.join() }
    }
}

/// Numbered pieces of work, taken one by one by whoever is free.
private final class Pieces: @unchecked Sendable {
    private let count: Int
    private let body: (Int) -> Void
    private let next = Atomic<Int>(0)

    init(count: Int, body: @escaping (Int) -> Void) {
        self.count = count
        self.body = body
    }

    func run() {
        while true {
            let piece = next.add(1, ordering: .relaxed).oldValue
            guard piece < count else { return }
            body(piece)
        }
    }
}
