// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

/// Something that bytes can be put into at any place, once it has its size.
package protocol ByteSink {
    /// Makes room for `size` bytes, all zero; called once, before anything is written.
    func setSize(_ size: Int) throws(FormatError)
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FormatError)
}

/// Memory that looks like a file.
package final class MemorySink: ByteSink {
    private let name: String
    private var file: MappedFile?

    /// - Parameter name: what errors about the bytes name.
    package init(name: String) { self.name = name }

    /// - Throws: `FormatError` if there is no memory.
    package func setSize(_ size: Int) throws(FormatError) { file = try MappedFile(memoryNamed: name, size: size) }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        UnsafeMutableRawBufferPointer(rebasing: file!.writable[offset...]).copyMemory(from: bytes)
    }

    /// The bytes, which nobody can change from now on.
    package func sealed() -> MappedFile {
        file!.seal()
        return file!
    }
}
