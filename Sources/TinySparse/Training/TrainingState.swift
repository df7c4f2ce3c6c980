// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyPlatform
import TinySupport

/// What a training has finished, in a file that grows by one record a predictor, so that a training that was
/// interrupted goes on where it stopped.
///
/// The file: 8 bytes "TSTRAIN1", the fingerprint of model, text and options; then records of
/// key, rank, width, outputs (four UInt64), the floats of A, B and bias, and their xxHash64. A record cut short
/// by a crash is ignored and written over.
final class TrainingState {
    let path: String
    /// Finished predictors by key.
    private(set) var finished: [UInt64: PredictorWeights] = [:]
    private let descriptor: Int32
    private static let magic: UInt64 = 0x314E_4941_5254_5354

    /// Opens the state at `path`; one of another fingerprint is started anew.
    /// - Throws: `FormatError`.
    init(path: String, fingerprint: UInt64) throws(FormatError) {
        self.path = path
        descriptor = retryingInterrupts { open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644) }
        guard descriptor >= 0 else { throw FormatError.system("open", path: path) }
        var end = 0
        if let file = try? MappedFile(path: path), file.size >= 16 {
            let words = file.bytes
            if words.loadUnaligned(as: UInt64.self) == Self.magic,
                words.loadUnaligned(fromByteOffset: 8, as: UInt64.self) == fingerprint
            {
                end = 16
                while let (record, next) = Self.record(words, at: end) {
                    finished[record.key] = record.weights
                    end = next
                }
            }
        }
        if end == 0 {
            try append(
                [Self.magic, fingerprint].flatMap { word in withUnsafeBytes(of: word.littleEndian, Array.init) }, at: 0)
            end = 16
        }
        guard ftruncate(descriptor, off_t(end)) == 0, lseek(descriptor, 0, SEEK_END) >= 0 else {
            throw FormatError.system("resize", path: path)
        }
    }

    deinit { close(descriptor) }

    /// Adds a finished predictor.
    /// - Throws: `FormatError`.
    func add(_ key: UInt64, _ weights: PredictorWeights) throws(FormatError) {
        finished[key] = weights
        var bytes: [UInt8] = []
        for word in [key, UInt64(weights.rank), UInt64(weights.width), UInt64(weights.outputs)] {
            bytes.append(integer: word)
        }
        for value in weights.a + weights.b + weights.bias { bytes.append(integer: value.bitPattern) }
        bytes.append(integer: bytes.withUnsafeBytes { xxHash64($0) })
        try append(bytes, at: nil)
    }

    /// Removes the file when it is no longer needed.
    func remove() { unlink(path) }

    private func append(_ bytes: [UInt8], at offset: Int?) throws(FormatError) {
        if let offset { lseek(descriptor, off_t(offset), SEEK_SET) }
        let isWritten = bytes.withUnsafeBytes { bytes in
            var done = 0
            while done < bytes.count {
                let count = retryingInterrupts { write(descriptor, bytes.baseAddress! + done, bytes.count - done) }
                if count <= 0 { return false }
                done += count
            }
            return true
        }
        guard isWritten else { throw FormatError.system("write", path: path) }
    }

    private static func record(
        _ bytes: UnsafeRawBufferPointer, at offset: Int
    ) -> (record: (key: UInt64, weights: PredictorWeights), next: Int)? {
        guard offset + 32 <= bytes.count else { return nil }
        let words = (0..<4).map {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 8 * $0, as: UInt64.self))
        }
        guard words[1...].allSatisfy({ (1...(1 << 20)).contains($0) }) else { return nil }
        let (rank, width, outputs) = (Int(words[1]), Int(words[2]), Int(words[3]))
        let count = rank * width + outputs * rank + outputs
        let size = 32 + 4 * count
        guard offset + size + 8 <= bytes.count else { return nil }
        let sum = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + size, as: UInt64.self))
        guard xxHash64(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + size])) == sum else { return nil }
        func floats(_ from: Int, _ count: Int) -> [Float] {
            (0..<count).map { i in
                Float(
                    bitPattern: UInt32(
                        littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 32 + 4 * (from + i), as: UInt32.self)
                    ))
            }
        }
        let weights = PredictorWeights(
            rank: rank, width: width, outputs: outputs, a: floats(0, rank * width),
            b: floats(rank * width, outputs * rank), bias: floats(rank * width + outputs * rank, outputs))
        return ((words[0], weights), offset + size + 8)
    }
}
