// SPDX-License-Identifier: Apache-2.0

import TinySupport
import TinyTemplates
import TinyTokenizer

/// Conversations in files: a JSON object with `messages`, on one line, so that a file is an input of `batch`, too.
enum ConversationFile {
    static func save(_ messages: [ChatMessage], to path: String) throws(Failure) {
        let list = messages.map { JSON.object($0.members) }
        try writeFile(path, JSON.object([("messages", .array(list))]).text(depth: 0) + "\n")
    }

    /// The messages of a file, or of a list of messages without an object around it.
    /// - Throws: `Failure.problem`, which names what is not as it has to be.
    static func load(_ path: String) throws(Failure) -> [ChatMessage] {
        func problem(_ text: String) -> Failure { .problem("\(escaped(path)): \(text)") }
        guard fileExists(path) else { throw problem("there is no such file") }
        guard isRegularFile(path) else { throw problem("is not a regular file") }
        let bytes = try readAll(path)
        let json: JSON
        do throws(JSONError) { json = try JSON.parse(bytes) } catch {
            throw problem("\(error.description); one conversation is needed")
        }
        for (name, _) in json.object ?? [] where name != "messages" {
            throw problem("has the member \(JSON.quoted(escaped(name, limit: 80))); a chat has messages only")
        }
        let messages: [ChatMessage]
        do throws(TemplateError) { messages = try Conversation(json: json).messages } catch {
            throw problem(escaped(error.description))
        }
        for (index, message) in messages.enumerated() {
            for name in ["role", "content"] where message.text(name) == nil {
                throw problem("messages[\(index)]: \(name): a text is needed")
            }
        }
        return messages
    }
}

extension ChatMessage {
    /// A member that is a text; of several with one name the last.
    func text(_ name: String) -> String? { JSON.object(members)[name]?.string }
}
