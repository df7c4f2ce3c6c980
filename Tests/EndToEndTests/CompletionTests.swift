// SPDX-License-Identifier: Apache-2.0

import Foundation
import XCTest

/// The manual page, and completions: each shell loads its own and is asked for some.
final class CompletionTests: CommandLineTestCase {
    private var folder: TemporaryFolder!

    override func setUpWithError() throws {
        folder = try TemporaryFolder()
        for name in ["a model.gguf", "other.txt"] {
            try Data().write(to: folder.url.appendingPathComponent(name))
        }
    }

    /// Writes what the program makes to a file.
    private func script(_ arguments: String...) throws -> String {
        let outcome = try tinysparse(arguments)
        XCTAssertEqual(outcome.status, 0, outcome.errors)
        let path = folder.url.appendingPathComponent("script").path
        try Data(outcome.output.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    private func need(_ name: String) throws -> String {
        guard let path = findProgram(name) else { throw XCTSkip("SKIPPED: there is no \(name)") }
        return path
    }

    /// What a shell offers after some words, the last of which is begun.
    private typealias Completer = ([String]) throws -> Set<String>

    private func check(_ offered: Completer) throws {
        XCTAssertEqual(try offered([""]).intersection(Self.commands), Set(Self.commands))
        XCTAssertEqual(try offered(["per"]), ["perplexity"])
        XCTAssertEqual(try offered(["run", "--ca"]), ["--cache"])
        XCTAssertEqual(try offered(["run", "--cache", ""]), ["half", "int8"])
        XCTAssertEqual(try offered(["run", "--lm-head-screen", "of"]), ["off"])
        XCTAssertEqual(try offered(["run", "--chat", "-k", "neo"]), ["neon", "neondot"])
        XCTAssert(try offered(["convert", "--weights", "w4"]).isSuperset(of: ["w4", "w4-all"]))
        XCTAssertEqual(try offered(["run", "--temperature", ""]), [])
        // Files: of options, and operands.
        XCTAssertEqual(try offered(["run", "-m", "a"]), ["a model.gguf"])
        XCTAssertEqual(try offered(["run", "--json-schema", "o"]), ["other.txt"])
        XCTAssertEqual(try offered(["inspect", "a"]), ["a model.gguf"])
        XCTAssertEqual(try offered(["run", "--nothing-like-it"]), [])
    }

    func testBash() throws {
        let bash = try need("bash"), completions = try script("completions", "bash")
        try check { words in
            let line = words.map { "'\($0)'" }.joined(separator: " ")
            let command = """
                source \(completions); COMP_WORDS=(tinysparse \(line)); COMP_CWORD=\(words.count); _tinysparse
                printf '%s\\n' "${COMPREPLY[@]}"
                """
            return try self.lines(bash, ["--norc", "-c", command])
        }
        // bash hands over --option=value as three words.
        let command = """
            source \(completions); COMP_WORDS=(tinysparse run --cache = ha); COMP_CWORD=4; _tinysparse
            printf '%s\\n' "${COMPREPLY[@]}"
            """
        XCTAssertEqual(try lines(bash, ["--norc", "-c", command]), ["half"])
    }

    func testFish() throws {
        let fish = try need("fish"), completions = try script("completions", "fish")
        try check { words in
            let line = words.joined(separator: " ").replacingOccurrences(of: "'", with: "\\'")
            let offered = try self.lines(
                fish, ["--no-config", "-c", "source \(completions); complete -C 'tinysparse \(line)'"])
            // A word, a tab, and what it does.
            return Set(offered.map { String($0.split(separator: "\t")[0]).replacingOccurrences(of: "\\ ", with: " ") })
        }
    }

    /// zsh completes on a terminal only: one of its own, whose completions are stored instead of being shown.
    func testZsh() throws {
        let zsh = try need("zsh"), completions = try script("completions", "zsh")
        try check { words in
            let driver = """
                zmodload zsh/zpty || exit 3
                zpty z zsh -f -i
                zpty -w z "PS1= PROMPT2= ; stty -echo; cd \(self.folder.url.path); autoload -U compinit; compinit -D -u"
                zpty -w z "source \(completions)"
                zpty -w z "compadd() { local -a hits; builtin compadd -O hits \\"\\$@\\"; print -rl -- \\"\\${hits[@]}\\" >>found; builtin compadd \\"\\$@\\" }"
                zpty -w z "bindkey '^I' complete-word; zstyle ':completion:*' list-prompt ''; LISTMAX=100000; echo RE''ADY"
                zpty -r -m z x '*READY*'
                zpty -w -n z $'tinysparse \(words.joined(separator: " "))\\t'
                sleep 0.5
                zpty -w -n z $'\\C-u'
                zpty -w z 'echo DO''NE'
                zpty -r -m z x '*DONE*'
                zpty -d z
                """
            let found = self.folder.url.appendingPathComponent("found")
            try? FileManager.default.removeItem(at: found)
            let result = try runProcess(zsh, ["-f", "-c", driver], limit: 120)
            if result.status == 3 { throw XCTSkip("SKIPPED: zsh has no zpty") }
            let text = (try? String(contentsOf: found, encoding: .utf8)) ?? ""
            return Set(text.split(separator: "\n").map { $0.replacingOccurrences(of: "\\ ", with: " ") })
        }
    }

    func testManualPage() throws {
        let page = try script("help", "--man")
        let text = try String(contentsOfFile: page, encoding: .utf8)
        for command in Self.commands {
            XCTAssert(text.contains("\n.SS \(command.replacingOccurrences(of: "-", with: "\\-")): "), command)
            for option in try tinysparse(command, "--help").output.matches(of: /(?m)^ {2,6}(?:-., )?--([a-z-]+)/) {
                let name = option.output.1.replacingOccurrences(of: "-", with: "\\-")
                XCTAssert(text.contains("\\fB\\-\\-\(name)\\fR"), "\(command) --\(option.output.1)")
            }
        }
        let groff = try need("groff")
        let warnings = try runProcess(groff, ["-man", "-Tutf8", "-ww", "-z", page])
        XCTAssertEqual(warnings.errors + warnings.output, "")
        let mandoc = try need("mandoc")
        let lint = try runProcess(mandoc, ["-Tlint", "-Wwarning", page])
        XCTAssertEqual(lint.errors + lint.output, "")
    }

    func testThePageHasTheDateOfItsSources() throws {
        let page = try tinysparse(["help", "--man"], environment: ["SOURCE_DATE_EPOCH": "951782400"]).output
        XCTAssert(page.hasPrefix(".TH TINYSPARSE 1 \"2000-02-29\""), String(page.prefix(80)))
    }

    func testWhatIsNone() throws {
        for arguments in [
            ["completions"], ["completions", "tcsh"], ["completions", "bash", "x"], ["help", "--man", "x"],
        ] {
            let outcome = try tinysparse(arguments)
            XCTAssertEqual(outcome.status, 2, "\(arguments)")
            XCTAssertEqual(outcome.output, "")
        }
    }

    /// The lines that a program prints in the folder of the test.
    private func lines(_ program: String, _ arguments: [String]) throws -> Set<String> {
        let outcome = try run(program, arguments, in: folder.url.path)
        XCTAssertEqual(outcome.status, 0, outcome.errors)
        XCTAssertEqual(outcome.errors, "")
        return Set(outcome.output.split(separator: "\n").map(String.init))
    }
}
