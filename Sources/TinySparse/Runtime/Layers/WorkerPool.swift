// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Synchronization
import TinyPlatform

/// A team of threads that lives as long as the pool and takes numbered pieces of work.
///
/// The workers are long-running blocks on a concurrent dispatch queue, as many as the system allows threads: one thread, the
/// caller's, is enough. Between two jobs they spin for a moment, because the next job of a forward pass is a microsecond
/// away, and then park on a semaphore, because the next token may never come. Pieces are handed out one by one, so that a
/// slow core simply takes fewer; no result depends on who computed a piece (docs/NUMERICS.md).
///
/// There are never more threads than cores. A job is over when its last piece is, and a piece whose thread waits for a
/// core keeps the whole team waiting, for a thousand times as long as it works (docs/PERFORMANCE.md, scaling).
///
/// One thread at a time may call `run`; the caller works too, as worker 0.
package final class WorkerPool: Sendable {
    /// How many shares work is cut into.
    package let threads: Int
    /// Threads at work, the caller included.
    private let running: Int
    private let team: Team

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
        if running == 1 || pieces <= 1 {
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
    /// The job in one word, so that a claim is one atomic addition and can never mix two jobs:
    /// 16 bits of its number, 24 bits of how many pieces it has, 24 bits of the next piece.
    private let job = Atomic<UInt64>(0)
    private let finished = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let parked: [Parking]
    private let spin: Int
    private var number: UInt64 = 0
    /// Written before `job` announces it, read after a claim has succeeded: a claimed piece keeps
    /// `run` from returning, and so keeps this alive.
    private var body: ((Int, Int) -> Void)?

    private final class Parking: Sendable {
        let isParked = Atomic<Bool>(false)
        let semaphore = DispatchSemaphore(value: 0)
    }

    init(workers: Int, spin: Int) {
        parked = (0..<workers).map { _ in Parking() }
        self.spin = spin
    }

    func run(_ pieces: Int, _ body: @escaping (Int, Int) -> Void) {
        self.body = body
        finished.store(0, ordering: .relaxed)
        number &+= 1
        job.store((number & 0xFFFF) << 48 | UInt64(pieces) << 24, ordering: .sequentiallyConsistent)
        for worker in parked where worker.isParked.load(ordering: .sequentiallyConsistent) {
            if worker.isParked.exchange(false, ordering: .sequentiallyConsistent) { worker.semaphore.signal() }
        }
        takePieces(as: 0)
        var turns = 0
        while finished.load(ordering: .acquiring) < pieces { relax(&turns) }
        self.body = nil
    }

    /// Works until no piece of the current job is left.
    private func takePieces(as worker: Int) {
        while true {
            guard Self.hasPieces(job.load(ordering: .relaxed)) else { return }
            let claim = job.add(1, ordering: .acquiringAndReleasing).oldValue
            guard Self.hasPieces(claim) else { return }
            body!(Int(claim & 0xFF_FFFF), worker)
            finished.add(1, ordering: .releasing)
        }
    }

    private static func hasPieces(_ job: UInt64) -> Bool { job & 0xFF_FFFF < (job >> 24) & 0xFF_FFFF }

    func work(as index: Int) {
        let parking = parked[index - 1]
        var turns = 0
        while !stopping.load(ordering: .acquiring) {
            if Self.hasPieces(job.load(ordering: .relaxed)) {
                takePieces(as: index)
                turns = 0
            } else if turns < spin {
                relax(&turns)
            } else {
                parking.isParked.store(true, ordering: .sequentiallyConsistent)
                // A job announced before the flag was up did not see it: look once more.
                if Self.hasPieces(job.load(ordering: .sequentiallyConsistent))
                    || stopping.load(ordering: .sequentiallyConsistent)
                {
                    if parking.isParked.exchange(false, ordering: .sequentiallyConsistent) { continue }
                }
                parking.semaphore.wait()
                turns = 0
            }
        }
    }

    func stop() {
        stopping.store(true, ordering: .sequentiallyConsistent)
        for worker in parked where worker.isParked.exchange(false, ordering: .sequentiallyConsistent) {
            worker.semaphore.signal()
        }
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
