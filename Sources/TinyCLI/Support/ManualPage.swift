// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

/// The help of all commands as one page for man(1), out of the tables that parse command lines.
///
/// Only macros of man(7) that groff and mandoc have alike.
enum ManualPage {
    static var text: String {
        let names = Command.all.map { "\\fB\(plain($0.name))\\fR" }.joined(separator: ", ")
        let lines =
            [
                ".TH TINYSPARSE 1 \"\(date)\" \"TinySparse \(TinySparseVersion.string)\" \"User Commands\"",
                ".SH NAME", "tinysparse \\- run small language models on the CPU",
                ".SH SYNOPSIS", ".B tinysparse", "\\fICOMMAND\\fR [\\fIOPTIONS\\fR]",
                ".br", ".B tinysparse completions", "bash|zsh|fish",
                ".SH DESCRIPTION", "The commands are \(names).",
                "Without a model, models/\(plain(ModelLocation.defaultName)) is used, in the working directory or in a folder",
                "above the program.", ".SH COMMANDS",
            ] + Command.all.flatMap(section)
            + [".SH ENVIRONMENT"] + Help.environment.flatMap { entry("\\fB\(plain($0.0))\\fR", $0.1) }
            + [".SH EXIT STATUS"] + Help.exitCodes.flatMap { entry("\\fB\(plain($0.0))\\fR", $0.1) }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func section(of command: Command) -> [String] {
        let options = (command.options + [Command.help]).flatMap { option in
            entry(
                (option.short.map { "\\fB\\-\($0)\\fR, " } ?? "") + "\\fB\\-\\-\(plain(option.long))\\fR"
                    + (option.value.map { " \\fI\(plain($0))\\fR" } ?? ""),
                option.help)
        }
        let examples = command.examples.flatMap {
            entry(sentence($0.what), literally: ["tinysparse \(command.name) \($0.arguments)"])
        }
        return [".SS \(plain(command.name)): \(plain(command.summary))"]
            + ["\\fBtinysparse \(plain(command.name))\\fR [\\fIOPTIONS\\fR] \(plain(command.operands))"]
            + [".PP"] + paragraphs(command.details) + options + [".PP", "Examples:"] + examples
    }

    /// Text whose indented lines stay as they are.
    private static func paragraphs(_ text: String) -> [String] {
        var lines: [String] = [], isLiteral = false
        for line in text.split(separator: "\n") {
            if line.hasPrefix(" ") != isLiteral {
                isLiteral.toggle()
                lines.append(isLiteral ? ".nf" : ".fi")
            }
            lines.append(isLiteral ? "\\ \\ " + plain(String(line).trimmingSpaces()) : sentence(String(line)))
        }
        return lines + (isLiteral ? [".fi"] : [])
    }

    private static func entry(_ label: String, _ text: String) -> [String] { [".TP", label, sentence(text)] }

    private static func entry(_ text: String, literally lines: [String]) -> [String] {
        [".TP", text, ".nf"] + lines.map(sentence) + [".fi"]
    }

    /// A line of text: what begins with a dot or an apostrophe would be a macro.
    private static func sentence(_ text: String) -> String {
        let text = plain(text)
        return text.hasPrefix(".") || text.hasPrefix("'") ? "\\&" + text : text
    }

    /// Text without what means something to roff.
    private static func plain(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "\\": result += "\\e"
            case "-": result += "\\-"
            case "'": result += "\\(aq"
            case "`": result += "\\(ga"
            case "^": result += "\\(ha"
            case "~": result += "\\(ti"
            default: result.append(character)
            }
        }
        return result
    }

    /// SOURCE_DATE_EPOCH, with which the same sources make the same page, or today.
    private static var date: String {
        var seconds = getenv("SOURCE_DATE_EPOCH").flatMap { Int(String(cString: $0)) } ?? time(nil)
        var day = tm()
        guard gmtime_r(&seconds, &day) != nil else { return "" }
        let (month, number) = (day.tm_mon + 1, day.tm_mday)
        return "\(day.tm_year + 1900)-\(month < 10 ? "0" : "")\(month)-\(number < 10 ? "0" : "")\(number)"
    }
}
