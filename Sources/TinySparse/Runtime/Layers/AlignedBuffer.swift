// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

/// Zeroed memory on page boundaries, which costs nothing until it is touched.
package final class AlignedBuffer<Element: BitwiseCopyable>: @unchecked Sendable {
    package let pointer: UnsafeMutablePointer<Element>
    package let count: Int
    /// Bytes that are mapped; 0 in a plan.
    private let mapped: Int

    /// - Parameter memory: what adds the buffer up; a plan gets no memory, and the buffer must not be used.
    /// - Throws: `RuntimeError.outOfMemory`.
    package init(_ count: Int, in memory: SessionMemory? = nil) throws(RuntimeError) {
        let (size, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        self.count = count
        memory?.add(overflow ? Int.max : size + Self.padding)
        if let memory, memory.isPlan {
            pointer = UnsafeMutablePointer(bitPattern: 64)!
            mapped = 0
            return
        }
        guard !overflow, size < 1 << 46 else { throw .outOfMemory(bytes: size) }
        mapped = size + Self.padding
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let base = mmap(nil, mapped, PROT_READ | PROT_WRITE, flags, -1, 0), base != MAP_FAILED else {
            throw .outOfMemory(bytes: size)
        }
        pointer = base.bindMemory(to: Element.self, capacity: max(count, 1))
    }

    /// One vector more than asked for: kernels may load whole vectors.
    private static var padding: Int { 64 }

    deinit { if mapped > 0 { munmap(pointer, mapped) } }
}

/// Adds up the buffers of a session. Every layer passes it to the buffers it makes, so that what is planned and what is
/// mapped cannot differ.
package final class SessionMemory {
    /// Bytes of all buffers made so far, at most `Int.max`.
    package private(set) var bytes = 0
    /// Buffers are added up and not made.
    package let isPlan: Bool

    package init(isPlan: Bool = false) { self.isPlan = isPlan }

    fileprivate func add(_ size: Int) {
        let (sum, overflow) = bytes.addingReportingOverflow(size)
        bytes = overflow ? Int.max : sum
    }
}
