// SPDX-License-Identifier: Apache-2.0

import Foundation
import XCTest

/// The commands of `tinysparse chat`, with piped lines and on a pseudo terminal.
final class ChatCommandTests: CommandLineTestCase {
    private let directory = TemporaryDirectory()
    private let command = ["chat", "-m", model, "--template", "plain", "--greedy", "-n", "4", "-t", "1"]

    private func chat(_ lines: String..., options: [String] = []) throws -> Outcome {
        try tinysparse(command + options, input: Data(lines.joined(separator: "\n").utf8))
    }

    func testAConversationIsSavedAndLoaded() throws {
        let path = directory.path + "/a chat.json"
        let whole = try chat("one", "two", "three")
        let first = try chat("/system be", "/system", "one", "two", "/save \(path)", "/save \(path)")
        XCTAssert(first.errors.contains("4 messages saved"), first.errors)
        XCTAssertFalse(first.errors.contains("error"), first.errors)
        let second = try chat("/load \(path)", "three", "/save \(path)")
        XCTAssert(second.errors.contains("4 messages loaded"), second.errors)
        XCTAssertEqual(first.output + second.output, whole.output)
        XCTAssertEqual(directory.contents, ["a chat.json"])

        // The file is a line for batch, but for the answer that ends it.
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let object = try XCTUnwrap(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: [[String: String]]])
        XCTAssertEqual(
            object["messages"]?.map { $0["role"] }, ["user", "assistant", "user", "assistant", "user", "assistant"])
        let batch = try tinysparse(
            ["batch", "-m", Self.model, "--template", "plain", "-n", "1"], input: Data(text.utf8))
        XCTAssert(batch.output.contains("\"text\""), batch.output)
        // Another chat does not replace it.
        let other = try chat("one", "/save \(path)", "/save /no/folder/x", "/save")
        XCTAssert(other.errors.contains("already exists; name another file"), other.errors)
        XCTAssert(other.errors.contains("error: /no/folder/x"), other.errors)
        XCTAssert(other.errors.contains("/save needs a file"), other.errors)
        XCTAssertEqual(try String(contentsOfFile: path, encoding: .utf8), text)
    }

    func testWhatIsNoConversationIsRefused() throws {
        let expected = try chat("one", "two").output
        for (text, error) in [
            ("", "JSON: "), ("{", "JSON: "), ("{}", "the messages are missing"), ("5", "messages: a list is needed"),
            (#"{"messages": [1]}"#, "a message is no object"),
            (
                #"{"messages": [{"role": "user", "content": "x"}, {"role": 5, "content": "x"}]}"#,
                "messages[1]: role: a text"
            ),
            (#"[{"role": "user"}]"#, "messages[0]: content: a text is needed"),
            (#"{"messages": [], "max_tokens": 5}"#, #"has the member "max_tokens""#),
            ("{\"messages\": []}\n{\"messages\": []}", "one conversation is needed"),
            (String(repeating: "[", count: 10_000), "nested deeper"),
        ] {
            let path = directory.write(Array(text.utf8), "bad.json")
            let outcome = try chat("one", "/load \(path)", "two")
            XCTAssertEqual(outcome.status, 0)
            XCTAssert(
                outcome.errors.contains("error: ") && outcome.errors.contains(error), "\(text): \(outcome.errors)")
            XCTAssertEqual(outcome.output, expected, "the conversation goes on")
        }
        for (path, error) in [
            ("/no/file", "no such file"), ("/dev/zero", "not a regular file"), ("", "/load needs a file"),
        ] {
            XCTAssert(try chat("/load \(path)").errors.contains(error), path)
        }
    }

    func testSystemMessagesAreSaved() throws {
        let path = directory.path + "/chat.json"
        _ = try chat("/system be brief", "one", "/save \(path)")
        let loaded = try chat("/load \(path)", "/stats", "two")
        XCTAssert(loaded.errors.contains("2 messages loaded"), loaded.errors)
        XCTAssert(loaded.errors.contains("2 messages and a system message"), loaded.errors)
        let whole = try chat("one", "two", options: ["--system", "be brief"])
        XCTAssert(whole.output.hasSuffix(loaded.output), loaded.output)
    }

    func testRegenerating() throws {
        let answers = try chat("one", "/regen", "two").output
        let plain = try chat("one", "two").output.split(separator: "\n", omittingEmptySubsequences: false)
        XCTAssertEqual(answers, "\(plain[0])\n\(plain[0])\n\(plain[1])\n")
        XCTAssert(try chat("/regen").errors.contains("no message to answer anew"))
        // An open question is answered.
        let path = directory.write(Array(#"[{"role": "user", "content": "one"}]"#.utf8), "open.json")
        let open = try chat("/load \(path)", "/regen")
        XCTAssert(open.errors.contains("/regen answers the last one"), open.errors)
        XCTAssertEqual(open.output, "\(plain[0])\n")
        let sampled = try tinysparse(
            [
                "chat", "-m", Self.model, "--template", "plain", "--seed", "1", "--temperature", "50", "--top-k", "0",
                "--top-p", "1", "--min-p", "0", "-n", "20",
            ],
            input: Data("one\n/regen\n".utf8))
        let two = sampled.output.split(separator: "\n")
        XCTAssertNotEqual(two.first, two.last)
    }

    func testStatisticsAndThinking() throws {
        let outcome = try chat(
            "one", "/stats", "/thinking", "/thinking hide", "/thinking", "/thinking no", "/hlep", "/help")
        XCTAssert(outcome.errors.contains("tokens/s"), outcome.errors)
        XCTAssert(outcome.errors.contains(" tokens used, "), outcome.errors)
        XCTAssert(outcome.errors.contains("now: show") && outcome.errors.contains("now: hide"), outcome.errors)
        XCTAssert(outcome.errors.contains("did you mean /help?; /help lists them"), outcome.errors)
        XCTAssert(outcome.errors.contains("/regen  "), outcome.errors)
        XCTAssert(try chat("/stats").errors.contains("[context: 0 of "))
    }

    // MARK: On a terminal

    /// Types keys into a chat on a pseudo terminal, each after the text that is waited for has come.
    private func type(
        _ steps: [(wait: String, keys: String)], _ options: [String] = [], term: String = "xterm", signal: Int32? = nil
    ) throws
        -> (
            screen: String, status: Int32
        )
    {
        let master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        defer { close(master) }
        // TIOCSPTLCK and TIOCGPTN: posix_openpt and its like are not imported.
        var (number, unlocked): (Int32, Int32) = (0, 0)
        XCTAssertEqual(ioctl(master, 0x4004_5431, &unlocked) | ioctl(master, 0x8004_5430, &number), 0)
        let name = "/dev/pts/\(number)"
        var size = winsize(ws_row: 24, ws_col: 40, ws_xpixel: 0, ws_ypixel: 0)
        XCTAssertEqual(ioctl(master, UInt(TIOCSWINSZ), &size), 0)
        // Without this, the terminal would be gone when the program ends.
        let slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)
        defer { close(slave) }
        var before = termios()
        tcgetattr(slave, &before)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.executable)
        process.arguments = command + options
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["TERM": term, "XDG_STATE_HOME": directory.path + "/state"]
        ) { $1 }
        let terminal = FileHandle(fileDescriptor: slave)
        (process.standardInput, process.standardOutput, process.standardError) = (terminal, terminal, terminal)
        try process.run()
        _ = fcntl(master, F_SETFL, O_NONBLOCK)
        var output: [UInt8] = []
        func read() {
            var chunk = [UInt8](repeating: 0, count: 4096)
            let count = Glibc.read(master, &chunk, chunk.count)
            if count > 0 { output += chunk[..<count] } else { usleep(5_000) }
        }
        for (wait, keys) in steps {
            let start = output.count
            // Long: the machine may be busy.
            let deadline = Date(timeIntervalSinceNow: 300)
            while !String(decoding: output[start...], as: UTF8.self).contains(wait), process.isRunning,
                Date() < deadline
            {
                read()
            }
            XCTAssert(
                Date() < deadline, "\(wait.debugDescription) did not come: \(String(decoding: output, as: UTF8.self))")
            // An answer's end comes just before the modes of the next message.
            usleep(100_000)
            read()
            XCTAssertEqual(write(master, keys, keys.utf8.count), keys.utf8.count)
        }
        if let signal { kill(process.processIdentifier, signal) }
        while process.isRunning { read() }
        for _ in 0..<10 { read() }
        var after = termios()
        tcgetattr(slave, &after)
        XCTAssertEqual(after.c_lflag, before.c_lflag, "the terminal is as it was")
        XCTAssertEqual(after.c_iflag, before.c_iflag)
        return (String(decoding: output, as: UTF8.self), process.terminationStatus)
    }

    func testEditingOnATerminal() throws {
        let raw = "\u{1B}[?2004h"
        let saved = directory.path + "/chat.json"
        let (screen, status) = try type([
            (raw, "hellx\u{7F}o\u{1B}\rwrold\u{1B}b\u{0B}world\r"), (raw, "\u{1B}[200~a\rb\u{1B}[201~\r"),
            (raw, "\u{1B}[A\u{1B}[A\u{1B}[A\u{03}/save \(saved)\r"), ("saved", "\u{04}"),
        ])
        XCTAssertEqual(status, 0, screen)
        XCTAssert(screen.contains("\u{1B}[?2004h") && screen.hasSuffix("\u{1B}[?2004l"), screen.debugDescription)
        let text = try String(contentsOfFile: saved, encoding: .utf8)
        XCTAssert(text.contains(#""content": "hello\nworld""#), text)
        XCTAssert(text.contains(#""content": "a\nb""#), text)
        // Messages are there in the next chat, for their owner only.
        let history = directory.path + "/state/tinysparse/history"
        XCTAssertEqual(try String(contentsOfFile: history, encoding: .utf8), "hello\\nworld\na\\nb\n/save \(saved)\n")
        let mode = try FileManager.default.attributesOfItem(atPath: history)[.posixPermissions] as? Int
        XCTAssertEqual(mode, 0o600)
        let next = try type([(raw, "\u{1B}[A\u{1B}[A"), ("  b", "\u{03}"), ("> ", "\u{03}")])
        XCTAssertEqual(next.status, 130, next.screen)
        let none = try type([(raw, "\u{1B}[A"), ("\u{07}", "secret\r"), (raw, "/quit\r")], ["--no-history"])
        XCTAssertEqual(none.status, 0, none.screen)
        XCTAssertFalse(try String(contentsOfFile: history, encoding: .utf8).contains("secret"))
    }

    /// A signal while a message is edited leaves the terminal as it was.
    func testSignalsRestoreTheTerminal() throws {
        for (signal, status) in [(SIGTERM, 143), (SIGINT, 130), (SIGHUP, 129)] as [(Int32, Int32)] {
            let ended = try type([("\u{1B}[?2004h", "half a mess"), ("mess", "")], signal: signal)
            XCTAssertEqual(ended.status, status, ended.screen)
            XCTAssert(ended.screen.contains("\u{1B}[?2004l"))
        }
    }

    func testADumbTerminalReadsLines() throws {
        let plain = try type([("> ", "one\\\r"), ("one", "two\r"), ("> ", "/quit\r")], term: "dumb")
        XCTAssertEqual(plain.status, 0, plain.screen)
        XCTAssertFalse(plain.screen.contains("\u{1B}"), plain.screen)
    }

    /// What is typed while an answer comes is the next message.
    func testTypingAhead() throws {
        let path = directory.path + "/chat.json"
        let ahead = try type(
            [("\u{1B}[?2004h", "one\r"), ("2004l", "two\r/save \(path)\r/quit\r")], ["--ignore-eos", "--no-history"])
        XCTAssertEqual(ahead.status, 0, ahead.screen)
        XCTAssert(try String(contentsOfFile: path, encoding: .utf8).contains(#""content": "two""#), ahead.screen)
    }
}
