// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

/// A file that is read piece by piece, into memory of the caller.
///
/// Unlike a `MappedFile` it cannot fault: a file that another program shortens in the meantime ends in an error.
package final class InputFile {
    package let path: String
    /// Bytes when it was opened.
    package let size: Int
    private let descriptor: Int32

    /// - Parameter advice: what to do if the path names a directory or a device.
    /// - Throws: `FormatError` if it cannot be opened or is not a regular file.
    package init(path: String, advice: String) throws(FormatError) {
        (descriptor, size) = try openRegularFile(path, advice)
        self.path = path
    }

    /// Fills `bytes` with what is at `offset`.
    /// - Throws: `FormatError`, also if the file ends before.
    package func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(FormatError) {
        var done = 0
        while done < bytes.count {
            // Linux reads at most 2 GiB at once and says how much it did.
            let count = retryingInterrupts {
                pread(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            guard count >= 0 else { throw FormatError.system("read", path: path) }
            guard count > 0 else {
                throw FormatError(.truncated, path: path, offset: offset + done, "the file ends here")
            }
            done += count
        }
    }

    /// A copy of some bytes.
    /// - Throws: `FormatError`, also if the file ends before.
    package func bytes(_ range: Range<Int>) throws(FormatError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        try bytes.withUnsafeMutableBufferPointer { bytes throws(FormatError) in
            try read(into: UnsafeMutableRawBufferPointer(bytes), at: range.lowerBound)
        }
        return bytes
    }

    deinit { close(descriptor) }
}
