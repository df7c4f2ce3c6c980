// SPDX-License-Identifier: Apache-2.0

import Foundation
import XCTest

/// The executable where the system allows little: files, threads, memory, descriptors.
final class LimitTests: CommandLineTestCase {
    /// Runs a shell command; `$0` is the executable and `$1` the model.
    private func shell(_ command: String, _ arguments: String...) throws -> Outcome {
        try run("/bin/sh", ["-c", command, Self.executable, Self.model] + arguments)
    }

    func testTheLimitOfAFilesSizeIsAnErrorThatLeavesNothing() throws {
        let directory = TemporaryDirectory()
        let source = directory.write(TinyModel.llama(), "in.gguf")
        let convert = try shell("ulimit -f 4; exec \"$0\" convert \"$2\" \"$3\"", source, directory.path + "/out.gguf")
        XCTAssertEqual(convert.status, 1)
        XCTAssert(convert.errors.contains("out.gguf: cannot "), convert.errors)
        XCTAssert(convert.errors.contains("make room or write elsewhere"), convert.errors)
        let record = try shell(
            "ulimit -f 4; exec \"$0\" verify -m \"$1\" -t 1 --blocks 8 --record \"$2\"", directory.path + "/record")
        XCTAssertEqual(record.status, 1)
        XCTAssert(record.errors.contains("record: cannot "), record.errors)
        XCTAssertEqual(directory.contents, ["in.gguf"])
    }

    /// A file must not be opened in the place of a standard stream: messages would be written into it.
    func testClosedStreamsAreNoFiles() throws {
        let directory = TemporaryDirectory()
        var vocabulary = TinyModel.spec
        vocabulary.tokens[9] = vocabulary.tokens[7]
        let bytes = TinyModel.gguf(TinyModel.llamaTensors()) { TinyModel.llamaMetadata(&$0, spec: vocabulary) }
        let source = directory.write(bytes, "in.gguf")
        let whole = try tinysparse("convert", source, directory.path + "/whole.gguf")
        XCTAssert(whole.errors.contains("tokens with the text of another: 1"), whole.errors)
        let expected = FileManager.default.contents(atPath: directory.path + "/whole.gguf")
        for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
            let output = directory.path + "/out.gguf"
            let result = try shell("exec \"$0\" convert --force \"$2\" \"$3\" \(closed)", source, output)
            XCTAssertEqual(result.status, closed.contains(" >&-") || closed == ">&-" ? 1 : 0, closed)
            XCTAssertEqual(FileManager.default.contents(atPath: output), expected, closed)
        }
        let output = try shell("exec \"$0\" run -m \"$1\" -n 2 x >&-")
        XCTAssertEqual(output.status, 1)
        XCTAssert(output.errors.contains("cannot write the output: Bad file descriptor"), output.errors)
        let input = try shell("exec \"$0\" run -m \"$1\" -n 2 - <&-")
        XCTAssertEqual(input.status, 1)
        XCTAssert(input.errors.contains("standard input: cannot read"), input.errors)
    }

    func testFewOpenFilesAreEnough() throws {
        // The loader of a dynamic executable needs the first of them.
        for limit in 4...8 {
            let result = try shell("ulimit -n \(limit); exec \"$0\" run -m \"$1\" -n 2 -t 2 --greedy x")
            XCTAssertEqual(result.status, 0, result.errors)
        }
    }

    func testOneThreadIsEnough() throws {
        // The limit of processes does not hold for root.
        let setpriv = findProgram("setpriv")
        if geteuid() == 0, setpriv == nil { throw XCTSkip("SKIPPED: root and no setpriv") }
        let user = geteuid() == 0 ? "\(setpriv!) --reuid=65534 --clear-groups" : ""
        guard try shell("exec \(user) test -x \"$0\" -a -r \"$1\"").status == 0 else {
            throw XCTSkip("SKIPPED: another user cannot read the executable")
        }
        func limited(_ command: String) throws -> Outcome {
            try shell("exec \(user) sh -c 'ulimit -u 1 2>/dev/null || ulimit -p 1; \(command)' \"$0\" \"$1\"")
        }
        let text = try limited("exec \"$0\" run -m \"$1\" -n 4 --greedy -t 4 hello")
        XCTAssertEqual(text.status, 0, text.errors)
        XCTAssertEqual(text.output, try tinysparse("run", "-m", Self.model, "-n", "4", "--greedy", "hello").output)
        let batch = try limited("exec \"$0\" batch -j 2 -m \"$1\" </dev/null")
        XCTAssertEqual(batch.status, 0, batch.errors)
    }

    /// From just enough for the loader and Swift's runtime to enough. `run` checks that no signal ends the program.
    func testTooLittleMemoryIsAnError() throws {
        let directory = TemporaryDirectory()
        let large = TinyModel.gguf(TinyModel.llamaTensors()) {
            TinyModel.llamaMetadata(&$0)
            $0.add("general.description", String(repeating: "x", count: 8 << 20))
        }
        let source = directory.write(large, "in.gguf")
        // Without exec: a signal while libraries are loaded is a status of the shell.
        let starts = try stride(from: 8, through: 80, by: 4).first { megabytes in
            try shell("ulimit -v \(megabytes << 10); \"$0\" --version; exit $?").status == 0
        }
        for model in [Self.model, source] {
            var errors = ""
            let statuses = try stride(from: try XCTUnwrap(starts), through: 80, by: 4).map { megabytes in
                let result = try shell("ulimit -v \(megabytes << 10); exec \"$0\" run -m \"$2\" -n 1 -t 2 x", model)
                XCTAssert([0, 1].contains(result.status), "\(megabytes) MB: \(result.status): \(result.errors)")
                XCTAssert(
                    result.status != 1 || result.errors.contains("memory"), "\(megabytes) MB: \(result.errors)")
                errors = result.errors
                return result.status
            }
            XCTAssertEqual(statuses.last, 0, "\(statuses): \(errors)")
        }
    }

    func testNoOutputIsLostSilently() throws {
        for command in ["run -m \"$1\" -n 2 x", "--help", "inspect \"$1\"", "tokenize -m \"$1\" x"] {
            let result = try shell("exec \"$0\" \(command) >/dev/full")
            XCTAssertEqual(result.status, 1, command)
            XCTAssert(result.errors.contains("No space left on device"), result.errors)
        }
    }

    func testWhatIsNoModelIsNamed() throws {
        let directory = TemporaryDirectory()
        XCTAssertEqual(mkfifo(directory.path + "/fifo", 0o600), 0)
        let fifo = directory.path + "/fifo", empty = directory.write([], "empty")
        for path in [fifo, empty, directory.path, "/dev/zero", "/dev/full", "/no/model"] {
            for command in [["run", "-m", path, "x"], ["inspect", path], ["tokenize", "-m", path, "x"]] {
                let result = try tinysparse(command)
                XCTAssertEqual(result.status, 1, "\(command)")
                XCTAssert(result.errors.contains("error: \(path)"), "\(command): \(result.errors)")
            }
            let convert = try tinysparse("convert", path, directory.path + "/out")
            XCTAssertEqual(convert.status, 1)
            XCTAssertFalse(directory.contents.contains("out"))
        }
    }
}
