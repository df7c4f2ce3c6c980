import TinyPlatform

/// Zeroed memory on page boundaries, which costs nothing until it is touched.
package final class AlignedBuffer<Element: BitwiseCopyable>: @unchecked Sendable {
    package let pointer: UnsafeMutablePointer<Element>
    package let count: Int
    private let size: Int

    /// - Throws: `RuntimeError.outOfMemory`.
    package init(_ count: Int) throws(RuntimeError) {
        let (size, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        // One vector more than asked for: kernels may load whole vectors.
        guard !overflow, size < 1 << 46 else { throw .outOfMemory(bytes: size) }
        self.size = size + 64
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let base = mmap(nil, self.size, PROT_READ | PROT_WRITE, flags, -1, 0), base != MAP_FAILED else {
            throw .outOfMemory(bytes: size)
        }
        pointer = base.bindMemory(to: Element.self, capacity: max(count, 1))
        self.count = count
    }

    deinit { munmap(pointer, size) }
}
