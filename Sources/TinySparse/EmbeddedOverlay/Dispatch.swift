// SPDX-License-Identifier: Apache-2.0

// Module Dispatch for Embedded Swift: the little of it that TinySparse uses, on POSIX threads.

import CLibrary

/// A concurrent queue whose blocks are few and long: each gets a thread.
public final class DispatchQueue: @unchecked Sendable {
    public struct Attributes: Sendable { public static let concurrent = Attributes() }
    public enum QualityOfService: Sendable { case userInitiated }

    public init(label: String, qos: QualityOfService, attributes: Attributes) {}

    public func async(execute work: @escaping @Sendable () -> Void) { start(work, detached: true) }

    /// Calls `work` with 0 ..< iterations, on as many threads as the machine has cores.
    public static func concurrentPerform(iterations: Int, execute work: (Int) -> Void) {
        let threads = min(iterations, max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
        guard threads > 1 else {
            for i in 0..<iterations { work(i) }
            return
        }
        // Every thread takes each `threads`th piece.
        withoutActuallyEscaping(work) { work in
            nonisolated(unsafe) let work = work
            let others = (1..<threads).map { first in
                start({ for i in stride(from: first, to: iterations, by: threads) { work(i) } }, detached: false)
            }
            for i in stride(from: 0, to: iterations, by: threads) { work(i) }
            for thread in others { pthread_join(thread, nil) }
        }
    }
}

private final class Block {
    let work: @Sendable () -> Void
    init(_ work: @escaping @Sendable () -> Void) { self.work = work }
}

@discardableResult
private func start(_ work: @escaping @Sendable () -> Void, detached: Bool) -> pthread_t {
    var thread = pthread_t()
    let block = Unmanaged.passRetained(Block(work)).toOpaque()
    let error = pthread_create(
        &thread, nil,
        { block in
            Unmanaged<Block>.fromOpaque(block!).takeRetainedValue().work()
            return nil
        }, block)
    precondition(error == 0, "a thread cannot be started")
    if detached { pthread_detach(thread) }
    return thread
}

/// Now, the only time that is waited for.
public struct DispatchTime: Sendable { public static func now() -> DispatchTime { DispatchTime() } }

public enum DispatchTimeoutResult { case success, timedOut }

/// A counting semaphore.
public final class DispatchSemaphore: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    public init(value: Int) { sem_init(semaphore, 0, UInt32(value)) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    public func wait() { while sem_wait(semaphore) != 0 {} }

    /// Takes what is there.
    public func wait(timeout: DispatchTime) -> DispatchTimeoutResult {
        sem_trywait(semaphore) == 0 ? .success : .timedOut
    }

    @discardableResult
    public func signal() -> Int { Int(sem_post(semaphore)) }
}
