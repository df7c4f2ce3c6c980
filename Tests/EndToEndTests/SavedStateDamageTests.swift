// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

/// Damaged and hostile files of sessions: a typed error each, and a session that works afterwards.
final class SavedStateDamageTests: XCTestCase {
    private let directory = TemporaryDirectory()

    /// A model, a session of it and the file of some of its tokens.
    private func saved(_ cache: CacheType, _ count: Int) throws -> (GoldenModel, Session, [UInt8]) {
        let golden = try GoldenModel(tiny: "tiny-llama")
        let session = try Session(golden.model, .init(threads: 1, cacheType: cache))
        try session.prefill(golden.tokens[..<count])
        let path = directory.path + "/session.state"
        try session.save(to: path)
        return (golden, session, try MappedFile(path: path).contents)
    }

    /// - Returns: what is thrown; nil if the file is taken.
    private func error(_ bytes: [UInt8], _ session: Session) -> FormatError? {
        do throws(FormatError) {
            let state = try SavedState(path: directory.write(bytes, "damaged.state"), of: session.model)
            try session.restore(state)
            return nil
        } catch {
            if session.tokens != [], error.item?.hasPrefix("layer") ?? false { XCTFail("the session is not empty") }
            return error
        }
    }

    func testEveryByteCounts() throws {
        for cache in CacheType.allCases {
            let (golden, session, good) = try saved(cache, 20)
            XCTAssertNil(error(good, session))
            let step = TestTier.isFull ? 1 : 37
            for place in Array(0..<140) + Array(stride(from: 140, to: good.count, by: step)) {
                var bytes = good
                bytes[place] ^= [0x01, 0x80, 0xFF][place % 3]
                XCTAssertNotNil(error(bytes, session), "byte \(place)")
            }
            for size in Array(0..<140) + Array(stride(from: 140, to: good.count, by: 97)) {
                let kind = error(Array(good[..<size]), session)?.kind
                XCTAssertTrue(kind == .truncated || size < 8 && kind == .malformed, "\(size) bytes")
            }
            XCTAssertEqual(error(good + [0], session)?.kind, .truncated)
            // The session is none the worse.
            session.rewind(to: 0)
            let alone = try Session(golden.model, .init(threads: 1, cacheType: cache))
            for one in [session, alone] { try one.prefill(golden.tokens) }
            XCTAssertEqual(session.logitsHash, alone.logitsHash)
        }
    }

    /// Lies whose checksums are right.
    func testLiesWithRightChecksums() throws {
        for cache in CacheType.allCases {
            let (_, session, good) = try saved(cache, 20)
            func lie(_ place: Int, _ value: [UInt8]) -> FormatError? {
                var bytes = good
                bytes.replaceSubrange(place..<place + value.count, with: value)
                return error(Self.rehashed(bytes, good, session), session)
            }
            XCTAssertNil(lie(0, []))
            for count in [21, 19, 1 << 20, 1 << 24, 1 << 24 + 1, 1 << 31, 1 << 62, UInt64.max, 1 << 63] as [UInt64] {
                let bytes = withUnsafeBytes(of: count.littleEndian, Array.init)
                XCTAssertNotNil(lie(32, bytes), "\(count) tokens")
            }
            XCTAssertEqual(lie(8, [2, 0, 0, 0])?.item, "version")
            XCTAssertEqual(lie(12, [0, 0, 0, 0])?.item, "numeric contract")
            XCTAssertEqual(lie(12, [2, 0, 0, 0])?.item, "numeric contract")
            XCTAssertEqual(lie(16, [UInt8](repeating: 7, count: 8))?.item, "model")
            XCTAssertEqual(lie(24, [cache == .half ? 1 : 0, 0, 0, 0])?.item, "cache")
            XCTAssertEqual(lie(24, [9, 0, 0, 0])?.item, "cache")
            XCTAssertEqual(lie(28, [1, 0, 0, 0])?.item, "positions")
            for token in [Int32.min, -1, Int32(session.model.config.vocabularySize), .max] {
                XCTAssertEqual(lie(48 + 40, withUnsafeBytes(of: token.littleEndian, Array.init))?.kind, .malformed)
            }
            // The first record.
            let record = 48 + 4 * 20 + 8
            let numbers: [[UInt8]] =
                cache == .half
                ? [[0x00, 0x7C], [0x00, 0xFC], [0x01, 0x7C], [0xFF, 0xFF]]
                : [.infinity, .nan, -1, -.infinity].map { (x: Float) in withUnsafeBytes(of: x.bitPattern, Array.init) }
            for number in numbers { XCTAssertEqual(lie(record, number)?.kind, .notFinite, "\(number)") }
            if cache == .int8 {
                let rows = 2 * session.model.config.nKVHeads * 20
                XCTAssertEqual(lie(record + 4 * rows, [0x80])?.kind, .notFinite)
            }
        }
    }

    /// Records in the place of others, and those of another file.
    func testRecordsThatChangePlaces() throws {
        let (golden, session, good) = try saved(.half, 20)
        let start = 48 + 4 * 20 + 8, size = (good.count - start) / golden.model.config.nLayers
        let swapped = Array(good[..<start] + good[(start + size)..<(start + 2 * size)] + good[start..<(start + size)])
        XCTAssertEqual(error(swapped + good[(start + 2 * size)...], session)?.kind, .checksum)
        session.rewind(to: 0)
        try session.prefill(golden.tokens[1..<21])
        let path = directory.path + "/other.state"
        try session.save(to: path)
        let other = try MappedFile(path: path).contents
        XCTAssertEqual(error(Array(good[..<start] + other[start...]), session)?.kind, .checksum)
    }

    /// Damage after which the checksums of header, tokens and first record are right again; `good` says where they are.
    private static func rehashed(_ damaged: [UInt8], _ good: [UInt8], _ session: Session) -> [UInt8] {
        var bytes = damaged
        func hash(_ range: Range<Int>, _ seed: UInt64) -> UInt64 {
            bytes.withUnsafeBytes { xxHash64(UnsafeRawBufferPointer(rebasing: $0[range]), seed: seed) }
        }
        func put(_ hash: UInt64, at place: Int) {
            bytes.replaceSubrange(place..<place + 8, with: withUnsafeBytes(of: hash.littleEndian, Array.init))
        }
        let header = hash(0..<40, 0)
        put(header, at: 40)
        let tokens = hash(48..<48 + 80, header)
        put(tokens, at: 48 + 80)
        let start = 48 + 80 + 8, layers = session.model.config.nLayers
        let size = (good.count - start) / layers
        for layer in 0..<layers {
            let end = start + (layer + 1) * size
            put(hash(end - size..<end - 8, tokens &+ UInt64(layer) << 32), at: end - 8)
        }
        return bytes
    }
}
