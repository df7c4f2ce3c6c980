import TinyConversion

/// The help texts, made of the same tables that parse command lines.
enum Help {
    static let version = "0.1.0"

    static var program: String {
        let width = Command.all.map { $0.name.count }.max()! + 2
        let commands = Command.all.map { "  " + $0.name.padded(to: width) + $0.summary }.joined(separator: "\n")
        return """
            TinySparse runs small language models on the CPU.

            usage: tinysparse COMMAND [OPTIONS]

            \(commands)

              tinysparse COMMAND --help   options and examples of a command
              tinysparse --version        the version

            examples:
              tinysparse run "Once upon a time"
              tinysparse convert smollm2.gguf models/smollm2.gguf
              tinysparse chat models/smollm2.gguf

            Without a model, models/\(ModelLocation.defaultName) is used.

            environment:
              TINYSPARSE_MODEL     the model to use if none is given
              TINYSPARSE_KERNELS   the kernels to use: avx512, avx2, neondot, neon or scalar

            exit codes:
              0    all went well, or the reader of the output went away
              1    a file or a model is not usable; the message says why
              2    the command line makes no sense
              130  interrupted by Ctrl-C

            """
    }

    static func of(_ command: Command) -> String {
        let options = command.options + [Command.help]
        let names = options.map { option in
            (option.short.map { "-\($0), " } ?? "    ") + "--" + option.long + (option.value.map { " " + $0 } ?? "")
        }
        let width = names.map { $0.count }.max()! + 2
        let rows = zip(names, options).map { "  " + $0.padded(to: width) + $1.help }
        let examples = command.examples.flatMap { ["  # \($0.what)", "  tinysparse \(command.name) \($0.arguments)"] }
        return """
            usage: tinysparse \(command.name) [OPTIONS] \(command.operands)

            \(command.details)

            options:
            \(rows.joined(separator: "\n"))

            examples:
            \(examples.joined(separator: "\n"))

            exit codes: 0 fine, 1 file or model not usable, 2 usage, 130 interrupted

            """
    }
}
