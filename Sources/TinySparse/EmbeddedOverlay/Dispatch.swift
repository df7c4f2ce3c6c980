// SPDX-License-Identifier: Apache-2.0

// Module Dispatch for Embedded Swift: the little of it that TinySparse uses, on POSIX semaphores.

import CLibrary

/// A counting semaphore.
public final class DispatchSemaphore: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    public init(value: Int) { sem_init(semaphore, 0, UInt32(value)) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    public func wait() { while sem_wait(semaphore) != 0 {} }

    @discardableResult
    public func signal() -> Int { Int(sem_post(semaphore)) }
}
