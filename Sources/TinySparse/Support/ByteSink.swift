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

/// A file that appears under its name only when it is complete.
///
/// Bytes go to `NAME.tmp.PID` in the same directory, which `commit()` flushes
/// and renames. Without `commit()` the temporary file disappears and whatever
/// had the name before stays as it was.
package final class AtomicFile: ByteSink {
    package let path: String
    private let temporaryPath: String
    private var descriptor: Int32

    /// - Throws: `FormatError` if the directory does not take a new file.
    package init(path: String) throws(FormatError) {
        guard !fileExists(path) || isRegularFile(path) else {
            throw FormatError(
                .system(EEXIST), path: path, "is not a regular file; name the file to write")
        }
        self.path = path
        temporaryPath = "\(path).tmp.\(getpid())"
        unlink(temporaryPath)  // left over by a killed process that had the same number
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
        descriptor = retryingInterrupts { [temporaryPath] in open(temporaryPath, flags, 0o644) }
        guard descriptor >= 0 else { throw FormatError.system("create", path: temporaryPath) }
    }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FormatError) {
        var done = 0
        while done < bytes.count {
            // Linux writes at most 2 GiB at once and says how much it did.
            let written = retryingInterrupts {
                pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            guard written > 0 else { throw FormatError.system("write", path: temporaryPath) }
            done += written
        }
    }

    /// Gives the file its size, which may reach beyond the last byte written.
    package func setSize(_ size: Int) throws(FormatError) {
        guard retryingInterrupts({ ftruncate(descriptor, off_t(size)) }) == 0 else {
            throw FormatError.system("resize", path: temporaryPath)
        }
    }

    /// Makes the file durable and gives it its name.
    package func commit() throws(FormatError) {
        guard retryingInterrupts({ fsync(descriptor) }) == 0 else {
            throw FormatError.system("flush", path: temporaryPath)
        }
        let closed = close(descriptor)
        descriptor = -1
        guard closed == 0, rename(temporaryPath, path) == 0 else {
            let code = errno
            unlink(temporaryPath)
            throw FormatError.system("finish", path: path, code: code)
        }
        // The rename itself survives a power cut only once the directory is flushed.
        let folder = open(directory(of: path), O_RDONLY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
    }

    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        unlink(temporaryPath)
    }
}
