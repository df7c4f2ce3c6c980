// SPDX-License-Identifier: Apache-2.0

import Foundation
import SIMDKernels
import XCTest

/// The linker may take one module's weak function for another's of the same name. A function that was
/// compiled for AVX-512 and is called by all would then crash on lesser CPUs.
final class KernelObjectTests: XCTestCase {
    func testNoKernelModuleDefinesAFunctionThatAnotherCouldBeGiven() throws {
        let products = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        guard let nm = ["/usr/bin/nm", "/usr/local/bin/nm"].first(where: FileManager.default.isExecutableFile) else {
            throw XCTSkip("SKIPPED: there is no nm to look into object files with")
        }
        var looked = 0
        for module in [
            "KernelsScalar", "KernelsSSE41", "KernelsAVX2", "KernelsAVXVNNI", "KernelsAVX512", "KernelsNEON",
            "KernelsNEONDot", "KernelsNEONMatrix",
        ] {
            let folder = products.appendingPathComponent(module + ".build")
            let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
            let objects = files.filter { $0.hasSuffix(".o") }.map { folder.appendingPathComponent($0).path }
            guard !objects.isEmpty else { continue }
            looked += 1
            // Swift's names hold the length and the name of the module.
            let own = "\(module.count)\(module)"
            for line in try run(nm, objects).split(separator: "\n") {
                let fields = line.split(separator: " ")
                guard fields.count == 3, "WVuwv".contains(fields[1]) else { continue }
                XCTAssertTrue(
                    fields[2].contains(own) || fields[2] == "__swift_reflection_version",
                    "\(module) defines the weak symbol \(fields[2]), which another module could be given")
            }
        }
        guard looked > 0 else { throw XCTSkip("SKIPPED: no object files beside the tests at \(products.path)") }
        XCTAssertGreaterThanOrEqual(looked, Kernels.available.count, "some kernel modules have no object files")
    }

    private func run(_ tool: String, _ arguments: [String]) throws -> String {
        let process = Process(), pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: tool)
        process.arguments = arguments
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        XCTAssertEqual(process.terminationStatus, 0, "nm failed")
        return String(decoding: output, as: UTF8.self)
    }
}
