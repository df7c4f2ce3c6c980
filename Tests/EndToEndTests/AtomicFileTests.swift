// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import XCTest

/// Files that appear when they are complete.
final class AtomicFileTests: XCTestCase {
    private func write(_ text: String, to file: AtomicFile) throws {
        try Array(text.utf8).withUnsafeBytes { try file.write($0, at: 0) }
    }

    private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    func testNothingIsSeenBeforeTheCommit() throws {
        for named in [false, true] {
            let directory = TemporaryDirectory()
            let path = directory.path + "/out"
            for content in ["one", "another"] {
                let before = directory.contents
                var file: AtomicFile? = try AtomicFile(path: path, named: named)
                try write(content, to: file!)
                // A process that is killed now leaves this behind.
                XCTAssertEqual(directory.contents, before + (named ? ["out.tmp"] : []))
                file = nil
                XCTAssertEqual(directory.contents, before)

                file = try AtomicFile(path: path, named: named)
                try write(content, to: file!)
                try file!.commit()
                file = nil
                XCTAssertEqual(directory.contents, ["out"])
                XCTAssertEqual(try text(path), content)
            }
        }
    }

    func testWhatAKilledProcessLeftIsTakenOver() throws {
        for named in [false, true] {
            let directory = TemporaryDirectory()
            _ = directory.write(Array("long and left over".utf8), "out.tmp")
            let file = try AtomicFile(path: directory.path + "/out", named: named)
            try write("new", to: file)
            try file.commit()
            XCTAssertEqual(directory.contents, ["out"])
            XCTAssertEqual(try text(directory.path + "/out"), "new")
        }
    }

    func testTwoWritersDoNotMix() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/out"
        let first = try AtomicFile(path: path, named: true)
        try write("first", to: first)
        XCTAssertThrowsError(try AtomicFile(path: path, named: true)) {
            XCTAssert("\($0)".contains("another process is writing it"), "\($0)")
        }
        try first.commit()
        XCTAssertEqual(try text(path), "first")

        let files = try (0..<2).map { _ in try AtomicFile(path: path) }
        for (index, file) in files.enumerated() { try write("\(index)", to: file) }
        for (index, file) in files.enumerated() {
            try file.commit()
            XCTAssertEqual(try text(path), "\(index)")
        }
        XCTAssertEqual(directory.contents, ["out"])
    }

    func testErrorsNameTheFile() throws {
        for path in ["/no/such/directory/out", "/dev/full", NSTemporaryDirectory()] {
            XCTAssertThrowsError(try AtomicFile(path: path)) { XCTAssert("\($0)".hasPrefix(path + ": "), "\($0)") }
        }
    }
}
