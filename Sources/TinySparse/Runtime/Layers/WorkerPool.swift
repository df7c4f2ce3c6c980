// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Synchronization
import TinyPlatform

/// A team of threads that lives as long as the pool and takes numbered pieces of work.
///
/// The workers are long-running blocks on a concurrent dispatch queue, as many as the system allows threads: one thread, the
/// caller's, is enough. Between two jobs they spin for a moment, because the next job of a forward pass is a microsecond
/// away, and then park on a semaphore, because the next token may never come. Each worker has a part of a job's pieces,
/// which lie one after another in memory, and takes them one by one; who is done with its own helps with the others', so
/// that a slow core, or one that other programs use, simply takes fewer. No result depends on who computed a piece
/// (docs/NUMERICS.md).
///
/// There are never more threads than cores. A job is over when its last piece is, and a piece whose thread waits for a
/// core keeps the whole team waiting (docs/PERFORMANCE.md, scaling): the caller then gives up its own core.
///
/// One thread at a time may call `run`; the caller works too, as worker 0.
package final class WorkerPool: Sendable {
    /// How many shares work is cut into.
    package let threads: Int
    /// Threads at work, the caller included.
    private let running: Int
    private let team: Team
    /// Whether jobs run on the caller's thread alone: what is short may not be worth the others' while.
    var isAlone: Bool {
        get { alone.load(ordering: .relaxed) }
        set { alone.store(newValue, ordering: .relaxed) }
    }
    private let alone = Atomic<Bool>(false)

    /// - Parameters:
    ///   - threads: at least 1; the caller counts as one.
    ///   - cores: the most threads that are started, whatever was asked for.
    package init(threads: Int, cores: Int = availableCores) {
        self.threads = min(max(threads, 1), 256)
        running = 1 + allowedThreads(min(self.threads, max(cores, 1)) - 1)
        team = Team(workers: running - 1, spin: running <= availableCores ? 100_000 : 200)
        guard running > 1 else { return }
        let queue = DispatchQueue(label: "tinysparse.workers", qos: .userInitiated, attributes: .concurrent)
        for index in 1..<running {
            queue.async { [team] in team.work(as: index) }
        }
    }

    deinit { team.stop() }

    /// Calls `body(piece, worker)` once for every piece in `0 ..< pieces`, `worker` in `0 ..< threads`,
    /// and returns when all calls have returned. Costs about half a microsecond beside the work.
    package func run(_ pieces: Int, _ body: (_ piece: Int, _ worker: Int) -> Void) {
        if running == 1 || pieces <= 1 || isAlone {
            for piece in 0..<pieces { body(piece, 0) }
            return
        }
        precondition(pieces < 1 << 24, "a job has at most 16 million pieces")
        withoutActuallyEscaping(body) { body in
            team.run(pieces, body)
        }
    }
}

/// What the workers share. It outlives the pool until the last worker has left.
private final class Team: @unchecked Sendable {
    /// Behind a pointer: with references, which are counted, those who wait for work would disturb those who have some.
    private let seats: UnsafeMutableBufferPointer<Seat>
    private let finished = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let spin: Int
    private var number: UInt64 = 0
    /// Written before the seats announce it, read after a claim has succeeded: a claimed piece keeps
    /// `run` from returning, and so keeps this alive.
    private var body: ((Int, Int) -> Void)?

    /// A thread's place; those of two threads share no cache line.
    private struct Seat: ~Copyable {
        /// The thread's part of a job in one word, so that a claim is one atomic addition and can never mix two jobs:
        /// 16 bits of the job's number, 24 bits of where the part ends, 24 bits of its next piece.
        let part = Atomic<UInt64>(0)
        let isParked = Atomic<Bool>(false)
        let semaphore = DispatchSemaphore(value: 0)
        private let padding: InlineArray<14, UInt64> = .init(repeating: 0)

        var hasPieces: Bool { Self.hasPieces(part.load(ordering: .relaxed)) }

        static func hasPieces(_ part: UInt64) -> Bool { part & 0xFF_FFFF < (part >> 24) & 0xFF_FFFF }

        /// Waits for `wake`, unless there is something to do by now.
        func park(unless isNeeded: () -> Bool) {
            isParked.store(true, ordering: .sequentiallyConsistent)
            // What came before the flag was up did not see it: look once more.
            if isNeeded(), isParked.exchange(false, ordering: .sequentiallyConsistent) { return }
            semaphore.wait()
        }

        func wake() {
            if isParked.load(ordering: .sequentiallyConsistent),
                isParked.exchange(false, ordering: .sequentiallyConsistent)
            {
                semaphore.signal()
            }
        }
    }

    init(workers: Int, spin: Int) {
        seats = .allocate(capacity: workers + 1)
        for i in seats.indices { seats.initializeElement(at: i, to: Seat()) }
        self.spin = spin
    }

    deinit {
        seats.deinitialize()
        seats.deallocate()
    }

    func run(_ pieces: Int, _ body: @escaping (Int, Int) -> Void) {
        self.body = body
        finished.store(0, ordering: .relaxed)
        number &+= 1
        let job = (number & 0xFFFF) << 48
        for i in seats.indices {
            let first = UInt64(i * pieces / seats.count), end = UInt64((i + 1) * pieces / seats.count)
            seats[i].part.store(job | end << 24 | first, ordering: .sequentiallyConsistent)
        }
        for i in 1..<seats.count { seats[i].wake() }
        takePieces(as: 0)
        var turns = 0
        while finished.load(ordering: .acquiring) < pieces {
            if turns < Self.patience {
                relax(&turns)
            } else {
                // A worker has lost its core in the midst of a piece. It is given this one.
                seats[0].park { finished.load(ordering: .sequentiallyConsistent) == pieces }
            }
        }
        self.body = nil
    }

    /// Turns of waiting for other workers' last pieces: some 30 microseconds, several times what a piece takes.
    private static let patience = 20_000

    /// Works until no piece of the current job is left: first the worker's own, which lie one after another, then those that
    /// slower ones have not come to.
    private func takePieces(as worker: Int) {
        for i in 0..<seats.count {
            let seat = worker + i < seats.count ? worker + i : worker + i - seats.count
            while seats[seat].hasPieces {
                let claim = seats[seat].part.add(1, ordering: .acquiringAndReleasing).oldValue
                guard Seat.hasPieces(claim) else { break }
                body!(Int(claim & 0xFF_FFFF), worker)
                finished.add(1, ordering: .sequentiallyConsistent)
            }
        }
        // The one who waits is the caller; it looks for itself whether these were the last.
        if worker != 0 { seats[0].wake() }
    }

    private var hasPieces: Bool {
        for i in seats.indices where seats[i].hasPieces { return true }
        return false
    }

    func work(as index: Int) {
        var turns = 0
        while !stopping.load(ordering: .acquiring) {
            if hasPieces {
                takePieces(as: index)
                turns = 0
            } else if turns < spin {
                relax(&turns)
            } else {
                seats[index].park { hasPieces || stopping.load(ordering: .sequentiallyConsistent) }
                turns = 0
            }
        }
    }

    func stop() {
        stopping.store(true, ordering: .sequentiallyConsistent)
        for i in seats.indices { seats[i].wake() }
    }
}

/// One turn of a spinning wait: now and then the core is offered to others, so that more threads than
/// cores do no harm. (The processor's own `pause` cannot be reached from Swift: Clang's module only
/// declares the builtin.)
@inline(__always)
private func relax(_ turns: inout Int) {
    turns &+= 1
    if turns & 0x3FFF == 0 { sched_yield() }
}
