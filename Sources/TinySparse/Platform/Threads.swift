// SPDX-License-Identifier: Apache-2.0

import Dispatch

/// A thread of the system. Signals from outside are blocked in it: they are for the thread that waits for input.
package struct SystemThread {
    private let thread: pthread_t

    /// Starts a thread that runs `work`; nil if the system does not allow another one.
    package init?(_ work: @escaping @Sendable () -> Void) {
        var all = sigset_t(), before = sigset_t()
        sigfillset(&all)
        // What a thread does itself ends the program, with a message if it has one.
        for signal in [SIGBUS, SIGSEGV, SIGABRT, SIGFPE, SIGILL] { sigdelset(&all, signal) }
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let start = Unmanaged.passRetained(Start(work: work))
        // musl's threads have 128 KiB, which is too little for a chat template that nests (docs/TEMPLATES.md). What is more
        // stays as it is: `allowedThreads` tells by these threads whether Dispatch, which asks for that much, gets its own.
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        var standard = 0
        pthread_attr_getstacksize(&attributes, &standard)
        pthread_attr_setstacksize(&attributes, max(standard, 1 << 20))
        defer { pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let code = pthread_create(
            &thread, &attributes,
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

    /// Waits until the thread has ended; has to be called.
    package func join() { pthread_join(thread, nil) }

    private final class Start: Sendable {
        let work: @Sendable () -> Void
        init(work: @escaping @Sendable () -> Void) { self.work = work }
    }
}

/// How many more threads the system allows at this moment, at most `count`: they are started, and end at once.
///
/// Whoever asks Dispatch for threads asks here before. It waits forever for a thread that it is not given, so it has to have
/// one more than it is asked for, in case it needs one of its own; and it ends the program where it finds no descriptor free
/// for the files of /proc in which it looks after its threads.
package func allowedThreads(_ count: Int) -> Int {
    guard count > 0, areDescriptorsFree(4) else { return 0 }
    let gate = DispatchSemaphore(value: 0)
    var threads: [SystemThread] = []
    while threads.count <= count, let thread = SystemThread({ gate.wait() }) { threads.append(thread) }
    for _ in threads { gate.signal() }
    for thread in threads { thread.join() }
    return max(threads.count - 1, 0)
}

private func areDescriptorsFree(_ count: Int) -> Bool {
    var opened: [Int32] = []
    while opened.count < count {
        let descriptor = open("/", O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { break }
        opened.append(descriptor)
    }
    for descriptor in opened { close(descriptor) }
    return opened.count == count
}

/// Whether the system allows a thread for every core. Found out once: the threads of `concurrently` are shared, and stay.
private let isEveryCoreAllowed = allowedThreads(availableCores - 1) == availableCores - 1

/// Calls `body(piece)` once for every piece in `0 ..< pieces`, on all cores, and returns when all calls have returned. Alone
/// if the system does not allow the threads.
package func concurrently(_ pieces: Int, _ body: (Int) -> Void) {
    if pieces > 1, availableCores > 1, isEveryCoreAllowed, areDescriptorsFree(4) {
        withoutActuallyEscaping(body) { body in
            nonisolated(unsafe) let body = body
            DispatchQueue.concurrentPerform(iterations: pieces) { piece in body(piece) }
        }
    } else {
        for piece in 0..<pieces { body(piece) }
    }
}
