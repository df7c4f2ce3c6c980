// SPDX-License-Identifier: Apache-2.0

import TinyPlatform
import TinySupport

/// A matrix of 32-bit floats in NumPy's .npy format, version 1.0, written from the first row to the last.
/// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
final class NumPyFile {
    /// Nil is standard output.
    private let file: AtomicFile?
    private var written = 0

    /// Begins a matrix `[rows, columns]` in a file that appears when it is finished, or on standard output for "-".
    /// - Throws: `Failure.problem` if there is no room, `Failure.outputClosed`.
    init(rows: Int, columns: Int, path: String) throws(Failure) {
        let header = Self.header(rows: rows, columns: columns)
        do throws(FormatError) {
            file = path == "-" ? nil : try AtomicFile(path: path)
            try file?.setSize(header.count + 4 * rows * columns)
        } catch {
            throw Failure(error)
        }
        var failure: Failure?
        header.withUnsafeBytes { bytes in
            do throws(Failure) { try write(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// The magic number, the version, the length of what follows, and a Python literal. Data begin at a multiple of 64.
    private static func header(rows: Int, columns: Int) -> [UInt8] {
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(rows), \(columns)), }"
        let prefix: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0]
        let padding = 63 - (prefix.count + 2 + text.utf8.count) % 64
        let length = text.utf8.count + padding + 1
        return prefix + [UInt8(length & 255), UInt8(length >> 8)] + Array(text.utf8)
            + [UInt8](repeating: UInt8(ascii: " "), count: padding) + [UInt8(ascii: "\n")]
    }

    /// Writes the next values; machines that this runs on are little-endian, as the file.
    /// - Throws: `Failure.problem` if the disk is full, `Failure.outputClosed`.
    func write(_ values: UnsafeBufferPointer<Float>) throws(Failure) { try write(UnsafeRawBufferPointer(values)) }

    private func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        guard let file else { return try Console.write(bytes) }
        do throws(FormatError) { try file.write(bytes, at: written) } catch { throw Failure(error) }
        written += bytes.count
    }

    /// Gives the file its name, once all values are written.
    func finish() throws(Failure) {
        do throws(FormatError) { try file?.commit() } catch { throw Failure(error) }
    }
}
