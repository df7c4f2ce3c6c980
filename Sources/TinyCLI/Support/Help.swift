// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyPlatform

/// The help texts, generated from the tables that parse command lines.
enum Help {
    static let version =
        "tinysparse \(TinySparseVersion.string) (numeric contract \(TinySparseVersion.numericContract))"

    /// What tells more, and how.
    private static let topics =
        [
            ("tinysparse COMMAND --help", "options and examples of a command"),
            ("tinysparse --version", "version and number of the numeric contract"),
        ] + desktopTopics

    #if hasFeature(Embedded)
    private static let desktopTopics: [(String, String)] = []
    #else
    private static let desktopTopics = [
        ("tinysparse help --man", "all of this as a manual page"),
        ("tinysparse completions SHELL", "completions for bash, zsh or fish"),
    ]
    #endif

    static let environment = [
        ("TINYSPARSE_MODEL", "the default model"),
        ("TINYSPARSE_KERNELS", "the default kernels: " + Kernels.names.joined(separator: ", ")),
    ]

    static let exitCodes = [
        ("0", "success (also when standard output is closed early)"),
        ("1", "a file or a model cannot be used; the message says why"),
        ("2", "usage error"),
        ("130", "interrupted by Ctrl-C"),
    ]

    /// A table of two columns.
    private static func rows(_ table: [(String, String)]) -> String {
        let width = table.map { $0.0.count }.max()! + 3
        return table.map { "  " + $0.0.padded(to: width) + $0.1 }.joined(separator: "\n")
    }

    static var program: String {
        let width = Command.all.map { $0.name.count }.max()! + 2
        let commands = Command.all.map { "  " + $0.name.padded(to: width) + $0.summary }.joined(separator: "\n")
        return """
            TinySparse runs small language models on the CPU.

            usage: tinysparse COMMAND [OPTIONS]

            \(commands)

            \(rows(topics))

            examples:
              tinysparse run "Once upon a time"
              tinysparse convert smollm2.gguf models/smollm2.gguf
              tinysparse chat models/smollm2.gguf

            Without a model, models/\(ModelLocation.defaultName) is used.

            environment:
            \(rows(environment))

            exit codes:
            \(rows(exitCodes))

            """
    }

    static func of(_ command: Command) -> String {
        let options = command.options + [Command.help]
        let names = options.map { option in
            (option.short.map { "-\($0), " } ?? "    ") + "--" + option.long + (option.value.map { " " + $0 } ?? "")
        }
        let width = names.map { $0.count }.max()! + 2
        let rows = zip(names, options).map { "  " + $0.padded(to: width) + $1.help }
        let examples = command.examples.flatMap {
            ["  # \($0.what)", "  tinysparse \(command.name)" + ($0.arguments.isEmpty ? "" : " " + $0.arguments)]
        }
        return """
            usage: tinysparse \(command.name) [OPTIONS] \(command.operands)

            \(command.details)

            options:
            \(rows.joined(separator: "\n"))

            examples:
            \(examples.joined(separator: "\n"))

            exit codes: 0 success, 1 file or model cannot be used, 2 usage error, 130 interrupted

            """
    }
}
