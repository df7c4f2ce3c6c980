// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

/// The bytes of a file, or of anonymous memory, page-aligned and read-only.
///
/// Nothing is read before it is touched. The mapping lives as long as the
/// object. As with every mapped file, another program that shortens the file in
/// the meantime makes later reads fault; replace files by renaming instead.
package final class MappedFile: @unchecked Sendable {
    /// What errors about these bytes name.
    package let path: String
    /// All bytes; never empty. Valid only as long as this object is kept.
    package let bytes: UnsafeRawBufferPointer

    private enum Kind { case file, memory, borrowed }
    private let kind: Kind

    /// Whether the bytes are a file's own pages, which the system can give back and read again.
    package var isMapped: Bool { kind == .file }
    /// Size in bytes.
    package var size: Int { bytes.count }

    /// Maps a file.
    /// - Throws: `FormatError` if it cannot be opened, is empty, not a regular file, or a Git LFS pointer.
    package init(path: String) throws(FormatError) {
        let (descriptor, size) = try openRegularFile(path, "name a model file")
        defer { close(descriptor) }
        guard size > 0 else {
            throw FormatError(.truncated, path: path, "is empty; download or convert it again")
        }
        let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let base, base != MAP_FAILED else { throw .system("map", path: path) }
        self.path = path
        kind = .file
        bytes = UnsafeRawBufferPointer(start: base, count: size)
        guard !bytes.starts(with: "version https://git-lfs.github.com/spec".utf8) else {
            throw FormatError(
                .malformed, path: path,
                "is a Git LFS pointer, not the file itself; run git lfs pull, or download the file")
        }
    }

    /// The same bytes copied to anonymous memory in huge pages, on all cores.
    ///
    /// Weights are read from end to end for every token; through the 4 KiB pages of a mapped file, address
    /// translation costs up to a third of the memory's speed. The copy takes about as long as one token.
    /// - Throws: `FormatError` if there is no memory.
    package func inHugePages() throws(FormatError) -> MappedFile {
        let copy = try MappedFile(memoryNamed: path, size: size)
        nonisolated(unsafe) let (to, from) = (copy.writable.baseAddress!, bytes.baseAddress!)
        let piece = 1 << 21, size = size
        concurrently((size + piece - 1) / piece) { i in
            let part = UnsafeRawBufferPointer(start: from + i * piece, count: min(piece, size - i * piece))
            (to + i * piece).copyMemory(from: part.baseAddress!, byteCount: part.count)
            // Else the process would have both for a moment.
            adviseUnneeded(part)
        }
        copy.seal()
        return copy
    }

    /// Zeroed memory that looks like a file: written once through `writable`, then sealed.
    /// - Throws: `FormatError` if there is no memory.
    package init(memoryNamed path: String, size: Int) throws(FormatError) {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        let base = mmap(nil, max(size, 1), PROT_READ | PROT_WRITE, flags, -1, 0)
        guard let base, base != MAP_FAILED else { throw .system("get \(size) bytes of memory", path: path) }
        self.path = path
        kind = .memory
        bytes = UnsafeRawBufferPointer(start: base, count: max(size, 1))
        adviseHugePages()
    }

    /// A copy of some bytes in memory.
    /// - Throws: `FormatError` if there is no memory.
    package convenience init(copying bytes: UnsafeRawBufferPointer, named path: String) throws(FormatError) {
        try self.init(memoryNamed: path, size: bytes.count)
        writable.copyMemory(from: bytes)
        seal()
    }

    /// The bytes of a file in memory that is not sealed yet.
    package var writable: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(mutating: bytes) }

    /// Ends the writing: from now on a write faults.
    package func seal() { _ = mprotect(writable.baseAddress!, bytes.count, PROT_READ) }

    /// Memory owned by the caller, who keeps it unchanged for the lifetime of this object.
    package init(borrowing bytes: UnsafeRawBufferPointer, named path: String) {
        self.path = path
        self.bytes = bytes
        kind = .borrowed
    }

    deinit {
        guard kind != .borrowed else { return }
        munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count)
    }

    /// A copy of all bytes.
    package var contents: [UInt8] { withExtendedLifetime(self) { [UInt8](bytes) } }

    /// Asks the kernel to read the whole file ahead. A hint; never fails.
    package func adviseWillNeed() { advise(MADV_WILLNEED) }

    /// Asks the kernel for huge pages, which save address translation when all
    /// weights are read once a token. A hint; never fails.
    package func adviseHugePages() {
        advise(14)  // MADV_HUGEPAGE, which Musl's module does not always export
    }

    /// Tells the kernel that a part of the file is not needed for now: it no longer counts as this process's memory, and is
    /// read again if it is touched. A hint; never fails, and does nothing for memory, which would be lost.
    package func adviseUnneeded(_ part: UnsafeRawBufferPointer) {
        guard kind == .file, let start = part.baseAddress else { return }
        // No system has larger pages, and what shares a page with other parts stays.
        let pageSize = 1 << 16
        let first = (Int(bitPattern: start) + pageSize - 1) & -pageSize
        let end = Int(bitPattern: start + part.count) & -pageSize
        guard first < end else { return }
        _ = madvise(UnsafeMutableRawPointer(bitPattern: first), end - first, MADV_DONTNEED)
    }

    private func advise(_ advice: Int32) {
        guard kind != .borrowed else { return }
        _ = madvise(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count, advice)
    }
}
