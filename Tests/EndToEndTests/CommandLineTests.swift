// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import TinyTraining
import XCTest

/// The executable, as a user runs it.
final class CommandLineTests: CommandLineTestCase {
    func testModelIsLookedFor() throws {
        let named = try tinysparse(["run", "-n", "2", "--greedy", "x"], environment: ["TINYSPARSE_MODEL": Self.model])
        XCTAssertEqual(named.status, 0, named.errors)

        // Far from the repository there is none.
        let directory = TemporaryDirectory()
        let copy = directory.path + "/tinysparse"
        try FileManager.default.copyItem(atPath: Self.executable, toPath: copy)
        let lost = try run(copy, ["run", "x"], in: directory.path)
        XCTAssertEqual(lost.status, 1)
        XCTAssert(lost.errors.contains("looked for models/tinysparse-fairy.gguf"), lost.errors)
        try FileManager.default.createDirectory(atPath: directory.path + "/models", withIntermediateDirectories: false)
        try FileManager.default.copyItem(
            atPath: Self.model, toPath: directory.path + "/models/tinysparse-fairy.gguf")
        XCTAssertEqual(try run(copy, ["run", "-n", "2", "x"], in: directory.path).status, 0)
        XCTAssertEqual(try run(copy, ["run", "-n", "2", "x"], in: "/").status, 0, "beside the executable")
    }

    // MARK: Text

    func testSeedDecidesNotThreads() throws {
        func text(_ threads: Int, _ seed: Int) throws -> String {
            let result = try tinysparse(
                "run", "-m", Self.model, "-n", "40", "--temperature", "1.5", "--seed", "\(seed)",
                "-t", "\(threads)", "a hen")
            XCTAssertEqual(result.status, 0, result.errors)
            XCTAssertEqual(result.errors, "", "statistics without a terminal")
            return result.output
        }
        let one = try text(1, 7)
        XCTAssertEqual(try text(2, 7), one)
        XCTAssertEqual(try text(3, 7), one)
        XCTAssertNotEqual(try text(1, 8), one)
    }

    func testOptionsOfRun() throws {
        let run = ["run", "-m", Self.model, "--greedy"]
        let plain = try tinysparse(run + ["-n", "8", "hello"])
        XCTAssertEqual(try tinysparse(["run", Self.model, "--greedy", "-n8", "hello"]).output, plain.output)
        XCTAssertEqual(try tinysparse(run + ["-n", "8", "-"], input: Data("hello".utf8)).output, plain.output)
        XCTAssertEqual(try tinysparse(run + ["--max-tokens=8", "--", "hello"]).output, plain.output)
        XCTAssertEqual(try tinysparse(run + ["-n", "8", "--echo", "hello"]).output, "hello" + plain.output)
        let first = String(plain.output.prefix(1))
        XCTAssertEqual(try tinysparse(run + ["-n", "8", "--stop", first, "hello"]).output, "\n")
        XCTAssert(try tinysparse(run + ["-n", "8", "-v", "hello"]).errors.contains("tokens/s"))

        // Escapes are processed where that is asked for.
        let newline = try tinysparse(run + ["-n", "8", "a\n\tb"]).output
        XCTAssertEqual(try tinysparse(run + ["-n", "8", "-e", "a\\n\\x09b"]).output, newline)
        XCTAssertNotEqual(try tinysparse(run + ["-n", "8", "--echo", "a\\n\\x09b"]).output, "a\n\tb" + newline)
        let code = String(try XCTUnwrap(first.utf8.first), radix: 16)
        XCTAssertEqual(try tinysparse(run + ["-n", "8", "-e", "--stop", "\\x" + code, "hello"]).output, "\n")

        let chat = try tinysparse(run + ["--chat", "hello"])
        XCTAssertEqual(chat.status, 1)
        XCTAssert(chat.errors.contains("no chat template"), chat.errors)
    }

    func testSourceCheckpointRuns() throws {
        let directory = TemporaryDirectory()
        let source = directory.write(TinyModel.llama(), "source.gguf")
        XCTAssertEqual(try tinysparse("run", "-m", source, "-n", "4", "--greedy", "t1").status, 0)
    }

    func testBrokenTextDoesNoHarm() throws {
        // The shell makes what a String cannot hold.
        let script = "\"$0\" run -m \"$1\" -n 2 --greedy \"$(printf 'a\\377\\376')\""
        let argument = try run("/bin/sh", ["-c", script, Self.executable, Self.model])
        XCTAssertEqual(argument.status, 0, argument.errors)
        let option = ["-c", "\"$0\" run \"$(printf -- '--x\\377')\"", Self.executable]
        XCTAssertEqual(try run("/bin/sh", option).status, 2)
        let input = Data([0xFF, 0xFE, 0x00, 0x61])
        XCTAssertEqual(try tinysparse(["run", "-m", Self.model, "-n", "2", "-"], input: input).status, 0)
        XCTAssertEqual(try tinysparse(["tokenize", "-m", Self.model, "-"], input: input).status, 0)
    }

    func testChatReadsPipedLines() throws {
        let chat = ["chat", "-m", Self.model, "--template", "plain", "--greedy", "-n", "4"]
        let two = try tinysparse(chat, input: Data("one\n\ntwo".utf8))
        XCTAssertEqual(two.status, 0, two.errors)
        let answers = two.output.split(separator: "\n", omittingEmptySubsequences: false)
        XCTAssertEqual(answers.count, 3, two.output)

        // What was forgotten has no influence; what was not, has.
        let reset = try tinysparse(chat, input: Data("one\n/reset\none\n/quit\nnever\n".utf8))
        let same = reset.output.split(separator: "\n", omittingEmptySubsequences: false)
        XCTAssertEqual(same.count, 3, reset.output)
        XCTAssertEqual(same[0], same[1])

        let unknown = try tinysparse(chat, input: Data("/rest\n".utf8))
        XCTAssert(unknown.errors.contains("did you mean /reset?"), unknown.errors)
        XCTAssertEqual(try tinysparse("chat", "-m", Self.model).status, 1, "no template")
    }

    func testTemplateOptions() throws {
        let directory = TemporaryDirectory()
        var count = 0
        func template(_ source: String) -> [String] {
            count += 1
            return ["--template", directory.write(Array(source.utf8), "\(count).jinja")]
        }
        let run = ["run", "-m", Self.model, "--greedy", "-n", "4"]
        let plain = try tinysparse(run + ["a b c"])
        let framed = try tinysparse(
            run + ["--chat"] + template("{{ x }} {{ messages[0].content }} c") + ["--template-arg=x=\"a\"", "b"])
        XCTAssertEqual(framed.status, 0, framed.errors)
        XCTAssertEqual(framed.output, plain.output)
        let system = template("{{ messages[0].content ~ ' ' ~ messages[1].content }} c")
        XCTAssertEqual(try tinysparse(run + ["--chat", "--system", "a"] + system + ["b"]).output, plain.output)

        for (options, status, error) in [
            (template("a\n{{ x.y }}"), 1, ".jinja: line 2: 'x' is undefined"),
            (template("{% include 'a' %}"), 1, ".jinja: line 1: the tag {% include %}: not supported"),
            (template("{{ raise_exception('no ' ~ 5) }}"), 1, ".jinja: line 1: no 5"),
            (["--template", "chatm"], 2, "did you mean chatml?"),
            (["--template", "/no/file"], 2, "there is no such file"),
            (["--template", "plain", "--template-arg", "x"], 2, "expected KEY=JSON"),
            (["--template", "plain", "--template-arg", "x=yes"], 1, "x: JSON: "),
        ] as [([String], Int32, String)] {
            let outcome = try tinysparse(run + ["--chat"] + options + ["b"])
            XCTAssertEqual(outcome.status, status, outcome.errors)
            XCTAssert(outcome.errors.contains(error), outcome.errors)
        }
        XCTAssert(try tinysparse(run + ["--template", "plain", "b"]).errors.contains("--template needs --chat"))
    }

    func testChatSendsSeveralLinesAndSlashes() throws {
        let chat = ["chat", "-m", Self.model, "--template", "plain", "--greedy", "-n", "4"]
        func answers(_ input: String, _ options: String...) throws -> [Substring] {
            try tinysparse(chat + options, input: Data(input.utf8)).output.split(separator: "\n")
        }
        let model = try Model(path: Self.model)
        func expected(_ message: String) throws -> String {
            let ids = try model.tokenizer.encode(
                Conversation([ChatMessage(role: "user", content: message)]), template: .named("plain"))
            var options = GenerationOptions()
            (options.maxTokens, options.sampling) = (4, .greedy)
            var generation = try Session(model).generation(prompt: ids, options)
            var text = ""
            while let piece = try generation.next() { text += piece }
            return text
        }
        for (input, message) in [
            ("one\\\ntwo\n", "one\ntwo"), ("one\\\n\\\ntwo", "one\n\ntwo"), ("one\\", "one"), ("//quit\n", "/quit"),
            ("  //a //b\n", "/a //b"), ("one\\\n/quit\n", "one\n/quit"),
        ] {
            XCTAssertEqual(try answers(input).joined(separator: "\n"), try expected(message), input)
        }
        let cut = try tinysparse(chat, input: Data("one\n".utf8))
        XCTAssert(cut.errors.contains("[the answer was cut after 4 tokens"), cut.errors)
    }

    func testChatForgetsWhatDoesNotFit() throws {
        let line = "a rather long line about nothing\n"
        let chat = ["chat", "-m", Self.model, "--template", "plain", "--greedy", "-n", "30", "-c", "64"]
        let result = try tinysparse(chat, input: Data(String(repeating: line, count: 6).utf8))
        XCTAssertEqual(result.status, 0, result.errors)
        XCTAssert(result.errors.contains("oldest messages were dropped"), result.errors)
        let long = try tinysparse(chat, input: Data(String(repeating: "x ", count: 200).utf8))
        XCTAssert(long.errors.contains("too long"), long.errors)
    }

    // MARK: Reports

    func testBenchReportsForPrograms() throws {
        let result = try tinysparse(
            "bench", "-m", Self.model, "--prompt-tokens", "20", "--generate", "8", "-r", "2", "-t", "2", "--json")
        let report = try json(result)
        for key in ["prefill_tokens_per_second", "decode_tokens_per_second", "peak_rss_bytes", "bytes_read_per_token"] {
            XCTAssertGreaterThan(try XCTUnwrap(report[key] as? Double, key), 0, key)
        }
        XCTAssertEqual(report["model"] as? String, "tiny llama")
        XCTAssertEqual(report["threads"] as? Int, 2)
        XCTAssertNotNil(report["kernels"] as? String)
        let skipped = try json(
            tinysparse("bench", "-m", Self.model, "--prompt-tokens", "0", "--generate", "8", "-r", "1", "--json"))
        XCTAssert(skipped["prefill_tokens_per_second"] is NSNull)
        let text = try tinysparse("bench", "-m", Self.model, "--prompt-tokens", "20", "--generate", "8", "-r", "1")
        XCTAssert(text.output.contains("\nprefill    20 tokens: "), text.output)
        XCTAssert(text.output.contains("\ndecode      8 tokens: "), text.output)
    }

    func testBenchDecodesSequencesTogether() throws {
        let arguments = [
            "bench", "-m", Self.model, "--sequences", "1,5", "--prompt-tokens", "6", "--generate", "8", "-r", "2",
        ]
        let decode = try XCTUnwrap(json(tinysparse(arguments + ["--json"]))["decode"] as? [[String: Any]])
        XCTAssertEqual(decode.map { $0["sequences"] as? Int }, [1, 5])
        for entry in decode { XCTAssertGreaterThan(try XCTUnwrap(entry["tokens_per_second"] as? Double), 0) }
        let text = try tinysparse(arguments)
        XCTAssert(text.output.contains("\ndecode    5 sequences: "), text.output)
    }

    func testTextsAreTheSameWithDrafts() throws {
        func text(_ options: String...) throws -> String {
            let result = try tinysparse(
                ["run", "-m", Self.model, "-n", "30", "--seed", "3", "-v"] + options + ["the cat the"])
            XCTAssertEqual(result.status, 0, result.errors)
            return result.output
        }
        let plain = try text("--speculate", "off")
        XCTAssertEqual(try text(), plain)
        XCTAssertEqual(try text("--speculate", "lookup"), plain)
        XCTAssertEqual(try text("--speculate", Self.model), plain)
        let refused = try tinysparse("run", "-m", Self.model, "--speculate", "self", "x")
        XCTAssertEqual(refused.status, 1)
        XCTAssert(refused.errors.contains("no predictors, which self-drafts need"), refused.errors)
        let missing = try tinysparse("run", "-m", Self.model, "--speculate", "nothing.gguf", "x")
        XCTAssert(missing.errors.contains("nothing.gguf"), missing.errors)
    }

    func testPerplexity() throws {
        let directory = TemporaryDirectory()
        let text = directory.write(Array(String(repeating: "The brown fox and the machine. ", count: 60).utf8), "text")
        let arguments = ["perplexity", "-m", Self.model, "-c", "64", "--chunks", "3", text]
        let line = try tinysparse(arguments)
        XCTAssertEqual(line.status, 0, line.errors)
        XCTAssert(line.output.hasPrefix("perplexity "), line.output)
        XCTAssert(line.output.hasSuffix("(3 chunks of 64 tokens, 93 tokens scored)\n"), line.output)
        let report = try json(tinysparse(arguments + ["--json"]))
        let value = try XCTUnwrap(report["perplexity"] as? Double)
        // A random model may be surprised beyond what four digits after the point make sense for.
        let shown = value < 1e14 ? String(format: "%.4f", value) : "\(value)"
        XCTAssert(line.output.hasPrefix("perplexity \(shown) +- "), line.output)
        XCTAssertEqual(report["tokens_scored"] as? Int, 93)

        let short = try tinysparse(["perplexity", "-m", Self.model, "-"], input: Data("short".utf8))
        XCTAssertEqual(short.status, 1)
    }

    func testInspect() throws {
        let report = try json(tinysparse("inspect", "--json", "--tensors", "--metadata", "--verify", Self.model))
        XCTAssertEqual(report["native"] as? Bool, true)
        XCTAssertEqual(report["verified"] as? Bool, true)
        XCTAssertEqual((report["config"] as? [String: Any])?["embedding_length"] as? Int, 96)
        XCTAssertEqual((report["tensors"] as? [Any])?.count, report["tensor_count"] as? Int)
        XCTAssertNotNil(report["metadata"] as? [Any])
        let text = try tinysparse("inspect", "--tensors", "--metadata", Self.model)
        XCTAssert(text.output.contains("blk.0.attn_q.weight") && text.output.contains("tinysparse.format"))
        XCTAssert(text.output.contains(" (not added), end ") || text.output.contains("begin none, end "), text.output)
        XCTAssert(text.output.contains("end tokens:"))
        let tokenizer = try XCTUnwrap(report["tokenizer"] as? [String: Any])
        XCTAssertFalse(try XCTUnwrap(tokenizer["end_of_generation"] as? [Int]).isEmpty)
    }

    func testAFileNameNeedNotBeUTF8() throws {
        let directory = TemporaryDirectory()
        let source = directory.write(TinyModel.llama(), "in.gguf")
        let native = directory.path + "/out.gguf"
        let named = #"name="$2/$(printf 'caf\351').gguf"; cp "$1" "$name"; exec "$0" convert "$name" "$3""#
        let result = try run("/bin/sh", ["-c", named, Self.executable, source, directory.path, native])
        XCTAssertEqual(result.status, 0, result.errors)
        XCTAssertNoThrow(try Model(path: native))
        let output = #"exec "$0" convert "$1" "$2/no/$(printf 'caf\351').gguf""#
        let refused = try run("/bin/sh", ["-c", output, Self.executable, source, directory.path])
        XCTAssertEqual(refused.status, 1)
        XCTAssert(refused.errors.contains("names that are not UTF-8"), refused.errors)
    }

    func testInspectDescribesWhatCannotRun() throws {
        let directory = TemporaryDirectory()
        let evil = "evil\u{1B}[31m\nname\u{9B}2J"
        let bytes = TinyModel.gguf(TinyModel.llamaTensors()) { writer in
            writer.add("general.architecture", "mam\u{1B}ba")
            writer.add("general.name", evil)
        }
        let path = directory.write(bytes, "source.gguf")
        let text = try tinysparse("inspect", "--metadata", "--tensors", path)
        XCTAssert(text.output.contains("cannot run:"), text.output)
        XCTAssertFalse(text.output.unicodeScalars.contains { $0.value == 0x1B || $0.value == 0x9B })
        XCTAssert(text.output.contains("evil\\u{1b}[31m\\nname"), text.output)
        let programs = try tinysparse("inspect", "--json", "--metadata", path)
        XCTAssertFalse(programs.output.unicodeScalars.contains { $0.value == 0x1B || $0.value == 0x9B })
        let report = try json(programs)
        XCTAssert(report["config"] is NSNull)
        XCTAssertNotNil(report["cannot_run"] as? String)
        XCTAssertEqual(try tinysparse("inspect", "--verify", path).status, 1)
        XCTAssertEqual(try tinysparse("inspect", directory.write([1, 2, 3], "no.gguf")).status, 1)
    }

    func testVerifyFindsDamage() throws {
        let directory = TemporaryDirectory()
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: Self.model)))
        bytes[bytes.count - 100] ^= 1
        let damaged = directory.write(bytes, "damaged.gguf")
        let result = try tinysparse("inspect", "--verify", damaged)
        XCTAssertEqual(result.status, 1)
        XCTAssert(result.errors.contains("the file is damaged"), result.errors)
        XCTAssertEqual(try tinysparse("run", "-m", damaged, "x").status, 1)
        XCTAssertEqual(try tinysparse("run", "-m", damaged, "--no-verify", "-n", "1", "x").status, 0)
    }

    func testTokenize() throws {
        let base = ["tokenize", "-m", Self.model]
        let tokenizer = try Model(path: Self.model).tokenizer
        let text = "The brown fox \u{1F98A}"
        let ids = tokenizer.encode(text)
        let report = try json(tinysparse(base + ["--json", text]))
        XCTAssertEqual(report["ids"] as? [Int32], ids)
        XCTAssertEqual(report["count"] as? Int, ids.count)
        XCTAssertEqual(report["text"] as? String, text)
        XCTAssertEqual(try tinysparse(base + ["--ids", text]).output, "\(ids)\n")
        XCTAssertEqual(try tinysparse(base + ["--count", text]).output, "\(ids.count)\n")
        XCTAssertEqual(try tinysparse("tokenize", Self.model, "--ids", text).output, "\(ids)\n")
        XCTAssertEqual(try tinysparse(base + ["--decode", "\(ids)"]).output, text + "\n")
        XCTAssertEqual(
            try tinysparse(base + ["--ids", "--no-special", text]).output,
            "\(tokenizer.encode(text, addSpecial: false))\n")
        XCTAssertEqual(try tinysparse(base + ["--pieces", text]).output.split(separator: "\n").count, ids.count)
        XCTAssertEqual(
            try tinysparse(base + ["--ids", "--parse-special", "<|endoftext|>"]).output,
            "\(tokenizer.encode("<|endoftext|>", parseSpecial: true))\n")
        let directory = TemporaryDirectory()
        let file = directory.write(Array(text.utf8), "text")
        XCTAssertEqual(try tinysparse(base + ["--ids", "-f", file]).output, "\(ids)\n")
        XCTAssertEqual(try tinysparse(base + ["--decode", "99999"]).status, 1)
        let special = try XCTUnwrap(tokenizer.id(of: "<|endoftext|>"))
        XCTAssertEqual(
            try tinysparse(base + ["--decode", "\(special) \(ids)", "--special"]).output, "<|endoftext|>" + text + "\n")
        XCTAssertEqual(try tinysparse(base + ["--decode", "\(special) \(ids)"]).output, text + "\n")
    }

    // MARK: Conversion

    func testConvert() throws {
        let directory = TemporaryDirectory()
        let input = directory.write(TinyModel.llama(), "in.gguf")
        let output = directory.path + "/out.gguf"
        let first = try tinysparse("convert", input, output)
        XCTAssertEqual(first.status, 0, first.errors)
        XCTAssert(first.output.contains("out.gguf"), first.output)
        XCTAssertEqual(try tinysparse("inspect", "--verify", output).status, 0)

        let again = try tinysparse("convert", input, output)
        XCTAssertEqual(again.status, 1)
        XCTAssert(again.errors.contains("--force"), again.errors)
        let quiet = try tinysparse("convert", "--force", "--quiet", input, output)
        XCTAssertEqual([quiet.output, quiet.errors], ["", ""])
        XCTAssertEqual(try tinysparse("convert", "--force", input, input).status, 1)
        XCTAssertEqual(try tinysparse("convert", output, directory.path + "/twice.gguf").status, 1)
        let garbage = directory.write([UInt8](repeating: 7, count: 1000), "garbage.gguf")
        XCTAssertEqual(try tinysparse("convert", garbage, directory.path + "/none.gguf").status, 1)
        XCTAssertEqual(directory.contents, ["garbage.gguf", "in.gguf", "out.gguf"])
    }

    // MARK: Signals

    func testInterruptEndsCleanly() throws {
        let process = try launch(Self.executable, Self.endless)
        let output = (process.standardOutput as! Pipe).fileHandleForReading
        XCTAssertFalse(output.availableData.isEmpty)
        process.interrupt()
        let rest = output.readDataToEndOfFile()
        process.waitUntilExit()
        XCTAssertEqual(process.terminationReason, .exit)
        XCTAssertEqual(process.terminationStatus, 130)
        XCTAssertEqual(rest.last, UInt8(ascii: "\n"))
    }

    func testInterruptEndsAWaitingChat() throws {
        let process = try launch(Self.executable, ["chat", "-m", Self.model, "--template", "plain", "-n", "2"])
        let input = (process.standardInput as! Pipe).fileHandleForWriting
        input.write(Data("hello\n".utf8))
        // Once there is an answer, the program waits for the next line, or is about to.
        XCTAssertFalse((process.standardOutput as! Pipe).fileHandleForReading.availableData.isEmpty)
        while process.isRunning {
            process.interrupt()
            usleep(50_000)
        }
        process.waitUntilExit()
        XCTAssertEqual(process.terminationStatus, 130)
    }

    func testInterruptEndsABatchWhoseInputHasEnded() throws {
        let process = try launch(Self.executable, ["batch", "-m", Self.model, "-j", "2"])
        let input = (process.standardInput as! Pipe).fileHandleForWriting
        let endless = #"{"prompt": "a", "max_tokens": 1000000000, "temperature": 0, "context_shift": true}"#
        input.write(Data("{\"prompt\": \"a\", \"max_tokens\": 1}\n\(endless)\n".utf8))
        try input.close()
        XCTAssertFalse((process.standardOutput as! Pipe).fileHandleForReading.availableData.isEmpty)
        process.interrupt()
        process.waitUntilExit()
        XCTAssertEqual(process.terminationReason, .exit)
        XCTAssertEqual(process.terminationStatus, 130)
    }

    func testClosedPipeEndsQuietly() throws {
        let process = try launch(Self.executable, Self.endless)
        let output = (process.standardOutput as! Pipe).fileHandleForReading
        XCTAssertFalse(output.availableData.isEmpty)
        try output.close()
        process.waitUntilExit()
        XCTAssertEqual(process.terminationReason, .exit)
        XCTAssertEqual(process.terminationStatus, 0)
        let errors = (process.standardError as! Pipe).fileHandleForReading.readDataToEndOfFile()
        XCTAssertEqual(String(decoding: errors, as: UTF8.self), "")
    }
}
