// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

/// A file that appears under its name only when it is complete.
///
/// Until `commit()` the bytes are in a file without a name, which disappears with the process, however that ends. Where
/// the file system or the system has no such files, the name is `NAME.tmp`, and a process that is killed leaves that
/// file behind; the next one to write `NAME` takes it over. Without `commit()` whatever had the name before stays as it
/// was.
package final class AtomicFile: ByteSink {
    package let path: String
    private let temporaryPath: String
    private var descriptor: Int32
    private let isNamed: Bool

    /// - Parameter named: give the file a name from the beginning, as where there are no files without.
    /// - Throws: `FormatError` if the directory does not take a new file, or another process is writing this one.
    package init(path: String, named: Bool = false) throws(FormatError) {
        guard !fileExists(path) || isRegularFile(path) else {
            throw FormatError(.system(EEXIST), path: path, "is not a regular file; name the file to write")
        }
        self.path = path
        temporaryPath = path + ".tmp"
        let unnamed = named ? -1 : Self.openUnnamed(in: directory(of: path))
        isNamed = unnamed < 0
        descriptor = isNamed ? try Self.openLocked(temporaryPath, for: path) : unnamed
    }

    /// Opens a file without a name; -1 where there are none, or where there is no /proc, by which it gets one.
    private static func openUnnamed(in directory: String) -> Int32 {
        #if os(Linux) || hasFeature(Embedded)
        guard fileExists("/proc/self/fd") else { return -1 }
        let temporary = 0o20_000_000 | O_DIRECTORY  // O_TMPFILE, a macro that Swift does not import
        return retryingInterrupts { open(directory, O_WRONLY | O_CLOEXEC | temporary, 0o644) }
        #else
        return -1
        #endif
    }

    /// Opens a file, empties it and locks it for as long as it is open.
    /// - Parameter path: what errors name.
    private static func openLocked(_ name: String, for path: String) throws(FormatError) -> Int32 {
        while true {
            let flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW
            let descriptor = retryingInterrupts { open(name, flags, 0o644) }
            guard descriptor >= 0 else { throw FormatError.system("create", path: path) }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
                close(descriptor)
                throw FormatError(.system(EWOULDBLOCK), path: path, "another process is writing it; try again later")
            }
            // Another process may have finished the file, and renamed it, between the two calls.
            var opened = stat(), found = stat()
            if fstat(descriptor, &opened) == 0, stat(name, &found) == 0, opened.st_ino == found.st_ino {
                guard ftruncate(descriptor, 0) == 0 else {
                    let error = FormatError.system("empty", path: path)
                    close(descriptor)
                    throw error
                }
                return descriptor
            }
            close(descriptor)
        }
    }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FormatError) {
        var done = 0
        while done < bytes.count {
            // Linux writes at most 2 GiB at once and says how much it did.
            let written = retryingInterrupts {
                pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            guard written > 0 else { throw FormatError.system("write", path: path) }
            done += written
        }
    }

    /// Gives the file its size, which may reach beyond the last byte written.
    package func setSize(_ size: Int) throws(FormatError) {
        guard retryingInterrupts({ ftruncate(descriptor, off_t(size)) }) == 0 else {
            throw FormatError.system("resize", path: path)
        }
    }

    /// Makes the file durable and gives it its name.
    package func commit() throws(FormatError) {
        guard retryingInterrupts({ fsync(descriptor) }) == 0 else { throw FormatError.system("flush", path: path) }
        if !isNamed {
            // A link cannot replace a file, and a name can: the file gets one for that moment.
            unlink(temporaryPath)
            let source = "/proc/self/fd/\(descriptor)"
            guard linkat(AT_FDCWD, source, AT_FDCWD, temporaryPath, AT_SYMLINK_FOLLOW) == 0 else {
                throw FormatError.system("finish", path: path)
            }
        }
        guard rename(temporaryPath, path) == 0 else {
            let error = FormatError.system("finish", path: path)
            unlink(temporaryPath)
            throw error
        }
        let closed = close(descriptor)
        descriptor = -1
        guard closed == 0 else { throw FormatError.system("finish", path: path) }
        // The rename itself survives a power cut only once the directory is flushed.
        let folder = open(directory(of: path), O_RDONLY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
    }

    deinit {
        guard descriptor >= 0 else { return }
        if isNamed { unlink(temporaryPath) }
        close(descriptor)
    }
}
