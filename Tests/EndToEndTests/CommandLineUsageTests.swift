// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinyPlatform
import XCTest

/// Help, options and error messages of the command line.
final class CommandLineUsageTests: CommandLineTestCase {
    func testHelpOfEveryCommand() throws {
        let program = try tinysparse("--help")
        XCTAssertEqual(program.status, 0)
        for command in Self.commands {
            XCTAssert(program.output.contains("\n  \(command) "), command)
            let help = try tinysparse(command, "--help")
            XCTAssertEqual(help.status, 0)
            XCTAssertEqual(help.errors, "")
            for part in ["usage: tinysparse \(command)", "options:", "--help", "examples:", "exit codes:"] {
                XCTAssert(help.output.contains(part), "\(command): \(part)")
            }
            XCTAssertEqual(try tinysparse("help", command).output, help.output)
        }
        let version = try tinysparse("--version").output
        XCTAssertEqual(
            version,
            "tinysparse \(TinySparseVersion.string) (numeric contract \(TinySparseVersion.numericContract))\n")
        XCTAssertEqual(try tinysparse("-V").output, version)
    }

    /// The options in the help of a command, which is made of the table that parses them: `-m, --model MODEL  ...`.
    private func options(of command: String) throws -> [(letter: Character?, name: String)] {
        let lines = try tinysparse(command, "--help").output.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.drop { $0 != "options:" }.dropFirst().prefix { !$0.isEmpty }.map { line in
            let words = line.split(separator: " ")
            let hasLetter = words[0].hasSuffix(",")
            return (hasLetter ? words[0].dropFirst().first : nil, String(words[hasLetter ? 1 : 0].dropFirst(2)))
        }
    }

    /// Fixtures/escapes: what llama.cpp makes of them.
    func testEscapesAreThoseOfLlamaCpp() throws {
        let fixture = Tool.root + "/Tests/EndToEndTests/Fixtures/escapes/expected.txt"
        let lines = try String(contentsOfFile: fixture, encoding: .utf8).split(separator: "\n")
        XCTAssertGreaterThan(lines.count, 15)
        for line in lines {
            let words = line.split(separator: " ").map(String.init)
            let result = try tinysparse("run", "-m", Self.model, "-n", "0", "--echo", "-e", words[0])
            let bytes = result.output.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            XCTAssertEqual(bytes, words[1] + "0a", words[0])
        }
        let plain = try tinysparse("run", "-m", Self.model, "-n", "0", "--echo", "a\\nb")
        XCTAssertEqual(plain.output, "a\\nb\n")
    }

    func testTextThatBeginsWithADash() throws {
        for command in ["run", "tokenize"] {
            let result = try tinysparse(command, "-m", Self.model, "-5 degrees")
            XCTAssertEqual(result.status, 2)
            XCTAssert(result.errors.contains("a text that begins with \"-\" goes after --"), result.errors)
            XCTAssertEqual(try tinysparse(command, "-m", Self.model, "--", "-5 degrees").status, 0)
        }
    }

    /// The model has 128 positions; no command takes fewer in silence.
    func testAContextBeyondTheModels() throws {
        for command in [["run", "x"], ["perplexity", "-"], ["sweep", "-"], ["profile", "-"]] {
            let result = try tinysparse(
                command + ["-m", Self.model, "-c", "129"], input: Data(repeating: UInt8(ascii: "a"), count: 5000))
            XCTAssertEqual(result.status, 1, command[0])
            XCTAssert(result.errors.contains("a context of 129 tokens; this model has at most 128"), result.errors)
        }
    }

    func testOneLetterOneMeaning() throws {
        // The table is complete: the help of the program has no other commands.
        let listed = try tinysparse("--help").output.components(separatedBy: "\n\n")[2].split(separator: "\n")
        XCTAssertEqual(
            listed.map { String($0.split(separator: " ")[0]) }.prefix { $0 != "tinysparse" }, Self.commands[...])

        var names: [Character: String] = [
            "V": "version", "h": "help", "m": "model", "n": "max-tokens", "p": "prompt", "f": "file", "t": "threads",
            "c": "context", "o": "output", "k": "kernels", "v": "verbose", "e": "escape",
        ]
        for command in Self.commands {
            let options = try options(of: command)
            XCTAssertEqual(Set(options.map(\.name)).count, options.count, command)
            XCTAssertEqual(options.contains { $0.name == "model" }, command != "convert", command)
            for case let (letter?, name) in options {
                XCTAssertEqual(names[letter, default: name], name, "\(command) -\(letter)")
                names[letter] = name
            }
            // A name has its letter everywhere.
            for (letter, name) in options where names.values.contains(name) {
                XCTAssertEqual(letter.map { names[$0] }, name, "\(command) --\(name)")
            }
        }
    }

    func testModelIsNamedInTwoWays() throws {
        let directory = TemporaryDirectory()
        let text = directory.write(Array(String(repeating: "The brown fox and the machine. ", count: 60).utf8), "text")
        let out = directory.path + "/out.gguf"
        let train = ["--rank", "0", "--head-rank", "0", "--lm-head-screen-rank", "0", "-o", out]
        for (command, rest) in [
            ("run", ["-n", "2", "--greedy", "x"]), ("tokenize", ["x"]), ("inspect", []),
            ("chat", ["--template", "plain"]),
            ("perplexity", ["-c", "64", "--chunks", "1", text]), ("verify", ["-n", "1", "-p", "x", "-t", "1"]),
            ("batch", []), ("score", []), ("profile", ["--tokens", "64", "-c", "32", text]),
            ("sweep", ["--chunks", "2", "-c", "32", "--keep", "0.5", "--generate", "0", text]),
        ] {
            let option = try tinysparse([command, "-m", Self.model] + rest)
            XCTAssertEqual(option.status, 0, "\(command): \(option.errors)")
            XCTAssertEqual(try tinysparse([command, Self.model] + rest).output, option.output, command)
            XCTAssertEqual(
                try tinysparse([command, "--model", Self.model, Self.model] + rest).output, option.output, command)
            let two = try tinysparse([command, "-m", Self.model, "other.gguf"] + rest)
            XCTAssertEqual(two.status, 2, command)
            XCTAssert(two.errors.contains("two models: \(Self.model.prefix(20))"), "\(command): \(two.errors)")
        }
        for arguments in [[Self.model, text], ["-m", Self.model, text]] {
            let trained = try tinysparse(["train-predictors"] + arguments + train)
            XCTAssertFalse(trained.status == 2, trained.errors)
        }
        XCTAssertEqual(
            try tinysparse("bench", Self.model, "--prompt-tokens", "0", "--generate", "1", "-r", "1").status, 0)
    }

    func testUsageErrors() throws {
        let cases: [(arguments: [String], says: String)] = [
            ([], "a command is missing"),
            (["rnu"], "did you mean run?"),
            (["run", "--temprature", "1", "x"], "did you mean --temperature?"),
            (["run", "-threads", "1", "x"], "did you mean --threads?"),
            (["run", "-m", "/nowhere", "-t", "0", "x"], "--threads 0: expected an integer in 1...256"),
            (["run", "-m", Self.model], "the prompt is missing"),
            (["run", Self.model], "the prompt is missing"),
            (["run", "-m", Self.model, "two", "words"], "quotes"),
            (["run", "--seed"], "needs a value"),
            (["run", "--greedy=yes", "x"], "takes no value"),
            (["run", "--temperature", "nan", "x"], "expected a number in 0...100"),
            (["run", "--top-p", "0", "x"], "expected a number above 0 and at most 1"),
            (["run", "-n", "-1", "x"], "expected an integer of at least 0"),
            (["run", "--memory-limit", "many", "x"], "expected a number of bytes"),
            (["run", "--head-sparsity", "maybe", "x"], "expected on or off"),
            (["run", "--raw", "--chat", "x"], "cannot be combined"),
            (["run", "-m", "/nowhere", "--sparsity", "maybe", "x"], "--sparsity"),
            (["bench", "--prompt-tokens", "0", "--generate", "0"], "nothing to measure"),
            (["bench", "--sequences", "1,,2"], "numbers from 1 to 256"),
            (["bench", "--sequences", "8", "--stages"], "--stages and --sequences cannot be combined"),
            (["convert", "one"], "the file to write"),
            (["perplexity"], "the text file is missing"),
            (["sweep", Self.model], "is a model"),
            (["tokenize", "-m", Self.model, "--decode", "1 x"], "is not a token id"),
            (["tokenize", "-m", Self.model, "--special", "x"], "--special goes with --decode"),
            // Letters and names of earlier versions.
            (["bench", "-p", "128"], "unknown option -p; did you mean --prompt-tokens?"),
            (["bench", "-p128"], "unknown option -p; did you mean --prompt-tokens?"),
            (["bench", "--prompt", "128"], "did you mean --prompt-tokens?"),
            (["bench", "-n", "64"], "unknown option -n; did you mean --generate?"),
            (["sweep", "-n", "0", "text"], "did you mean --generate?"),
            (["convert", "-f", "a", "b"], "unknown option -f; did you mean --force?"),
        ]
        for (arguments, says) in cases {
            let result = try tinysparse(arguments)
            XCTAssertEqual(result.status, 2, "\(arguments)")
            XCTAssert(result.errors.hasPrefix("tinysparse: error: "), "\(arguments): \(result.errors)")
            XCTAssert(result.errors.contains(says), "\(arguments): \(result.errors)")
            XCTAssertEqual(result.output, "", "\(arguments)")
        }
    }

    func testProblemsSayWhatToDo() throws {
        let missing = try tinysparse("run", "-m", "/nowhere/model.gguf", "x")
        XCTAssertEqual(missing.status, 1)
        XCTAssert(missing.errors.contains("/nowhere/model.gguf: cannot open"), missing.errors)
        XCTAssertEqual(try tinysparse("run", "-m", Self.model, "-c", "1000000", "x").status, 1)
        let long = try tinysparse("run", "-m", Self.model, "-c", "4", String(repeating: "x ", count: 100))
        XCTAssertEqual(long.status, 1)
        XCTAssert(long.errors.contains("the context of 4 tokens is full; use a larger --context"), long.errors)
        for arguments in [["run", "x"], ["verify"], ["bench"], ["profile", "-"]] {
            let kernels = try tinysparse(arguments + ["-m", Self.model, "--kernels", "abacus"])
            XCTAssertEqual(kernels.status, 1)
            XCTAssert(kernels.errors.contains("--kernels: unknown kernel set \"abacus\""), kernels.errors)
            XCTAssert(kernels.errors.contains("scalar"), kernels.errors)
        }
        let variable = try tinysparse(["run", "-m", Self.model, "x"], environment: ["TINYSPARSE_KERNELS": "abacus"])
        XCTAssertEqual(variable.status, 1)
        XCTAssert(variable.errors.contains("TINYSPARSE_KERNELS: unknown kernel set \"abacus\""), variable.errors)
        let predictors = try tinysparse("run", "-m", Self.model, "--sparsity", "0.5", "x")
        XCTAssertEqual(predictors.status, 1)
        XCTAssert(predictors.errors.contains("no predictors"), predictors.errors)
    }
}
