// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import TinySupport
import TinyTokenizer

/// The lines of a chat that begin with a slash.
extension ChatLoop {
    static let commands = """
          /help                 show this list
          /regen                write the last answer anew, with other random numbers
          /reset                start a new conversation
          /system TEXT          start a new conversation with this system message, or without one
          /save FILE            write the conversation as JSON, which batch reads, too
          /load FILE            go on with a conversation that was saved
          /stats                speed of the last answer, context used and left
          /thinking show|hide   what a thinking model thinks
          /quit                 end the program
        """

    private static let names = [
        "/help", "/regen", "/reset", "/system", "/save", "/load", "/stats", "/thinking", "/quit",
    ]

    /// Executes a line that begins with a slash; false ends the conversation.
    mutating func execute(_ line: String) throws(Failure) -> Bool {
        let parts = line.split(maxSplits: 1) { $0 == " " || $0 == "\t" || $0 == "\n" }
        let operand = parts.count > 1 ? parts[1].trimmingSpaces() : ""
        switch parts[0] {
        case "/quit", "/exit", "/bye": return false
        case "/help": Console.note(Self.commands)
        case "/regen": try regenerate()
        case "/reset":
            messages = []
            Console.note("new conversation")
        case "/system":
            system = operand.isEmpty ? nil : operand
            messages = []
            Console.note(system == nil ? "no system message" : "system message set")
        case "/save", "/load":
            guard !operand.isEmpty else {
                Console.note("\(parts[0]) needs a file: \(parts[0]) FILE")
                break
            }
            do throws(Failure) {
                if parts[0] == "/save" { try save(to: operand) } else { try load(operand) }
            } catch {
                // The conversation is as it was, and goes on.
                guard case .problem(let text) = error else { throw error }
                Console.note("error: \(text)")
            }
        case "/stats": showStatistics()
        case "/thinking":
            if let mode = ThinkingDisplay(rawValue: operand) {
                display = mode
            } else {
                Console.note("/thinking show or /thinking hide; now: \(display.rawValue)")
            }
        default:
            Console.note(
                "unknown command \(escaped(String(parts[0]), limit: 80))"
                    + suggestion(for: String(parts[0]), among: Self.names)
                    + "; /help lists them, and // begins a message with a slash")
        }
        return true
    }

    private mutating func regenerate() throws(Failure) {
        let before = messages
        if messages.last?.text("role") == "assistant" { messages.removeLast() }
        guard messages.last?.text("role") == "user" else {
            messages = before
            return Console.note("there is no message to answer anew")
        }
        do throws(Failure) {
            if try answer() { return }
        } catch {
            guard case .problem(let text) = error else { throw error }
            Console.note("error: \(text)")
        }
        messages = before
    }

    private mutating func save(to path: String) throws(Failure) {
        guard ownFiles.contains(path) || !fileExists(path) else {
            throw .problem("\(escaped(path)): already exists; name another file")
        }
        try ConversationFile.save(conversation, to: path)
        ownFiles.insert(path)
        Console.note("\(count(messages.count, "message")) saved")
    }

    private mutating func load(_ path: String) throws(Failure) {
        var loaded = try ConversationFile.load(path)
        let first = loaded.first?.text("role") == "system" ? loaded.removeFirst() : nil
        (system, messages) = (first?.text("content"), loaded)
        ownFiles.insert(path)
        let isOpen = loaded.last?.text("role") == "user"
        Console.note("\(count(loaded.count, "message")) loaded" + (isOpen ? "; /regen answers the last one" : ""))
    }

    private func showStatistics() {
        lastAnswer?.printStatistics(seed: options.sampling.seed &- 1)
        let used = session.tokens.count
        Console.note(
            "[context: \(used) of \(session.contextLimit) tokens used, \(session.contextLimit - used) left; "
                + "\(count(messages.count, "message"))\(system == nil ? "" : " and a system message")]")
    }

    private func count(_ number: Int, _ name: String) -> String { "\(number) \(name)\(number == 1 ? "" : "s")" }
}
