// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats
import TinyRuntime

/// `tinysparse completions SHELL`: what a shell reads to complete command lines, out of the tables that parse them.
/// - Throws: `Failure.usage`.
func completions(_ words: ArraySlice<String>) throws(Failure) -> String {
    let scripts = ["bash": bashCompletions, "zsh": zshCompletions, "fish": fishCompletions]
    guard let name = words.first, let script = scripts[name] else {
        throw .usage("completions: expected bash, zsh or fish; for instance: source <(tinysparse completions bash)")
    }
    return script(try documented(words.dropFirst()))
}

/// `tinysparse help --man`: all help as a page for man.
/// - Throws: `Failure.usage`.
func manualPage(_ words: ArraySlice<String>) throws(Failure) -> String { ManualPage.text(try documented(words)) }

/// The commands that are described: this program's, or, for packages of the one for boards, that one's.
private func documented(_ words: ArraySlice<String>) throws(Failure) -> [Command] {
    guard let word = words.first else { return Command.all }
    guard word == "--board", words.count == 1 else { throw .usage("unexpected argument \(escaped(word, limit: 80))") }
    let missing = Option.constraints.map { "--" + $0.long }
    let commands: [Command] = [.run, .chat, .bench, .perplexity, .verify]
    return commands.map { command in
        let options = command.options.filter { !missing.contains("--" + $0.long) }
        let examples = command.examples.filter { example in !missing.contains { example.arguments.contains($0) } }
        return Command(
            name: command.name, summary: command.summary, operands: command.operands, details: command.details,
            options: options, examples: examples, run: command.run)
    }
}

/// What the value of an option can be.
enum CompletedValue {
    case files
    case words([String])
    /// A number or a text, which no shell can guess.
    case anything

    /// nil for a flag.
    init?(_ option: Option) {
        guard let placeholder = option.value else { return nil }
        self =
            if let words = Self.words[option.long] {
                .words(words)
            } else if placeholder == "on|off" {
                .words(["on", "off"])
            } else if ["FILE", "MODEL", "OUT", "FOLDER"].contains(where: placeholder.hasPrefix) {
                .files
            } else {
                .anything
            }
    }

    /// Of options whose values have names.
    private static let words = [
        "kernels": Kernels.names,
        "cache": CacheType.allCases.map(\.rawValue),
        "weights": WeightFormat.allCases.map(\.rawValue),
        "sparsity": ["off", "auto"],
        "thinking": ["show", "hide", "raw"],
        "neurons": ["predictors", "gates"],
    ]
}

/// What stands in the place of a command, and what it does.
private func firstWords(_ commands: [Command]) -> [(String, String)] {
    commands.map { ($0.name, $0.summary) } + [
        ("help", "help of a command"), ("--help", "show the help"), ("--version", "show the version"),
    ]
}

private func options(of command: Command) -> [Option] { command.options + [Command.help] }

/// The spellings of an option on the command line.
private func spellings(_ option: Option) -> [String] { ["--" + option.long] + (option.short.map { ["-\($0)"] } ?? []) }

private func bashCompletions(_ commands: [Command]) -> String {
    func reply(_ words: [String]) -> String { "_tinysparse_words \"\(words.joined(separator: " "))\"; return" }
    let values = commands.flatMap { command in
        options(of: command).compactMap { option in
            CompletedValue(option).map { value in
                let pattern = spellings(option).map { "\(command.name)/\($0)" }.joined(separator: "|")
                switch value {
                case .files: return "        \(pattern)) _tinysparse_files; return ;;"
                case .words(let words): return "        \(pattern)) \(reply(words)) ;;"
                case .anything: return "        \(pattern)) return ;;"
                }
            }
        }
    }
    let flags = commands.map { command in
        "        \(command.name)) \(reply(options(of: command).flatMap(spellings))) ;;"
    }
    return """
        # Completions of tinysparse for bash: source <(tinysparse completions bash)
        _tinysparse_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word"); }
        _tinysparse_files() {
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
        }
        _tinysparse() {
            local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
            COMPREPLY=()
            if ((COMP_CWORD == 1)); then
                \(reply(firstWords(commands).map { $0.0 }))
            fi
            # bash takes --option=value for three words.
            if [[ $word == = ]]; then
                word=
            elif [[ $before == = ]]; then
                before=${COMP_WORDS[COMP_CWORD - 2]}
            fi
            case $command in
                help) \(reply(commands.map { $0.name })) ;;
            esac
            case $command/$before in
        \(values.joined(separator: "\n"))
            esac
            if [[ $word != -* ]]; then
                _tinysparse_files
                return
            fi
            case $command in
        \(flags.joined(separator: "\n"))
            esac
        }
        complete -F _tinysparse tinysparse

        """
}

private func zshCompletions(_ commands: [Command]) -> String {
    func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }
    func plain(_ text: String) -> String {
        text.map { "[]:\\".contains($0) ? "\\\($0)" : "\($0)" }.joined()
    }
    func row(_ option: Option) -> [String] {
        let action =
            switch CompletedValue(option) {
            case nil: ""
            case .files?: ":\(plain(option.value!)):_files"
            case .words(let words)?: ":\(plain(option.value!)):(\(words.joined(separator: " ")))"
            case .anything?: ":\(plain(option.value!)): "
            }
        return spellings(option).map { name in
            // The value of a long option is attached by =, that of a letter directly, and both may follow as a word.
            let suffix = option.value == nil ? "" : name.hasPrefix("--") ? "=" : "+"
            return "            " + quoted("*\(name)\(suffix)[\(plain(option.help))]\(action)")
        }
    }
    let cases = commands.map { command in
        let rows = options(of: command).flatMap(row) + ["            '*:file:_files'"]
        return "        \(command.name)) _arguments -S \\\n" + rows.joined(separator: " \\\n") + " ;;"
    }
    return """
        #compdef tinysparse
        # Completions of tinysparse for zsh: as _tinysparse in a folder of $fpath, or source <(tinysparse completions zsh)
        _tinysparse() {
            local -a commands=(
        \(firstWords(commands).map { "        " + quoted("\(plain($0.0)):\(plain($0.1))") }.joined(separator: "\n"))
            )
            if ((CURRENT == 2)); then
                _describe command commands
                return
            fi
            local command=$words[2]
            shift words
            ((CURRENT--))
            case $command in
                help) compadd -- \(commands.map { $0.name }.joined(separator: " ")) ;;
        \(cases.joined(separator: "\n"))
            esac
        }
        if [[ $funcstack[1] == _tinysparse ]]; then
            _tinysparse "$@"
        else
            compdef _tinysparse tinysparse
        fi

        """
}

private func fishCompletions(_ commands: [Command]) -> String {
    func quoted(_ text: String) -> String {
        "'" + text.replacing("\\", with: "\\\\").replacing("'", with: "\\'") + "'"
    }
    func row(_ option: Option, of command: String) -> String {
        let value =
            switch CompletedValue(option) {
            case nil: ""
            case .files?: " -r -F"
            case .words(let words)?: " -x -a \(quoted(words.joined(separator: " ")))"
            case .anything?: " -x"
            }
        let letter = option.short.map { " -s \($0)" } ?? ""
        return "complete -c tinysparse -n '__tinysparse_is \(command)'\(letter) -l \(option.long)\(value) "
            + "-d \(quoted(option.help))"
    }
    let programWords = firstWords(commands).map { name, summary in
        let word =
            name.hasPrefix("--") ? "-l \(name.dropFirst(2))" : "-f -a \(name)"
        return "complete -c tinysparse -n '__tinysparse_is' \(word) -d \(quoted(summary))"
    }
    let rows = commands.flatMap { command in options(of: command).map { row($0, of: command.name) } }
    return """
        # Completions of tinysparse for fish: tinysparse completions fish | source
        function __tinysparse_is
            set -l words (commandline -opc)
            test "$words[2]" = "$argv[1]"
        end
        \(programWords.joined(separator: "\n"))
        complete -c tinysparse -n '__tinysparse_is' -f
        complete -c tinysparse -n '__tinysparse_is help' -f -a '\(commands.map { $0.name }.joined(separator: " "))'
        \(rows.joined(separator: "\n"))

        """
}
