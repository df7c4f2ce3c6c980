// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

/// Dispatches to a command.
func runProgram(_ words: ArraySlice<String>) throws(Failure) {
    guard let name = words.first else { throw Failure.usage("a command is missing") }
    switch name {
    case "--version", "-V": try Console.writeLine(Help.version)
    case "--help", "-h": try Console.write(Help.program)
    case "help":
        guard let topic = words.dropFirst().first else { return try Console.write(Help.program) }
        if topic == "--man" { return try Console.write(manualPage(words.dropFirst(2))) }
        try Console.write(Help.of(command(named: topic)))
    case "completions": try Console.write(completions(words.dropFirst()))
    default:
        let command = try command(named: name)
        let arguments = try Arguments(words.dropFirst(), for: command)
        if arguments.wantsHelp { return try Console.write(Help.of(command)) }
        try command.run(arguments)
    }
}

func command(named name: String) throws(Failure) -> Command {
    if let command = Command.all.first(where: { $0.name == name }) { return command }
    let kind = name.hasPrefix("-") ? "option" : "command"
    throw .usage(
        "unknown \(kind) \(escaped(name, limit: 80))" + suggestion(for: name, among: Command.all.map { $0.name }))
}

/// Runs the program and returns its exit code.
func exitCode(_ words: ArraySlice<String>) -> Int32 {
    do throws(Failure) {
        try runProgram(words)
        return ExitCode.success
    } catch {
        switch error {
        case .usage(let message):
            let topic = Command.all.contains { $0.name == words.first } ? " \(words.first!)" : ""
            Console.note("tinysparse: error: \(message)\nTry: tinysparse\(topic) --help")
            return ExitCode.usage
        case .interrupted(let number): return ExitCode.signal(number)
        case .outputClosed: return ExitCode.success
        case .problem(let message):
            Console.note("tinysparse: error: \(message)")
            return ExitCode.problem
        }
    }
}

Console.reserveDescriptors()
Signals.install()
FatalSignals.install()
exit(exitCode(programArguments.dropFirst()))
