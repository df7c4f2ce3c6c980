// SPDX-License-Identifier: Apache-2.0

import TinySupport
import TinyTemplates

/// One message of a conversation.
public struct ChatMessage: Sendable {
    /// The members of the message: `role`, `content` and whatever else a template reads (`tool_calls`, `tool_call_id`,
    /// `name`, `reasoning_content`, ...).
    package let members: [(key: String, value: JSON)]

    /// A message of text; the roles that most models know are `system`, `user` and `assistant`.
    public init(role: String, content: String) {
        members = [("role", .string(role)), ("content", .string(content))]
    }

    /// The same with what a thinking model thought before, which templates show or leave out.
    public init(role: String, content: String, reasoning: String?) {
        var members: [(key: String, value: JSON)] = [("role", .string(role)), ("content", .string(content))]
        if let reasoning { members.append(("reasoning_content", .string(reasoning))) }
        self.members = members
    }

    init(_ members: [(key: String, value: JSON)]) { self.members = members }
}

/// What a chat template makes a prompt of.
public struct Conversation: Sendable {
    /// The messages in order.
    public var messages: [ChatMessage]
    /// Whether the prompt ends with the beginning of an assistant's message.
    public var addsGenerationPrompt = true
    /// The time that a template which writes the date is told.
    public var time: TemplateTime = .now
    /// What else a template can see: `tools`, `documents`, and settings like `enable_thinking`. Later ones count.
    package var arguments: [(name: String, value: JSON)] = []

    /// A conversation of messages.
    public init(_ messages: [ChatMessage]) { self.messages = messages }

    /// A conversation in JSON: a list of messages, or an object with the members `messages`, `add_generation_prompt`, and
    /// others, which the template can see.
    /// - Throws: `TemplateError` of the kind `input`.
    public init(json: String) throws(TemplateError) {
        let document: JSON
        do { document = try JSON.parse(Array(json.utf8)) } catch { throw TemplateError(input: "\(error)") }
        try self.init(json: document)
    }

    package init(json: JSON) throws(TemplateError) {
        messages = []
        guard let members = json.object else {
            messages = try Self.messages(json)
            return
        }
        guard let list = json["messages"] else { throw TemplateError(input: "the messages are missing") }
        messages = try Self.messages(list)
        for (name, value) in members where name != "messages" { try set(name, to: value) }
    }

    private static func messages(_ json: JSON) throws(TemplateError) -> [ChatMessage] {
        guard let list = json.array else { throw TemplateError(input: "messages: a list is needed") }
        var messages: [ChatMessage] = []
        for element in list {
            guard let members = element.object else { throw TemplateError(input: "messages: a message is no object") }
            messages.append(ChatMessage(members))
        }
        return messages
    }

    /// Sets something that the template can see.
    /// - Parameter isDefault: whether to leave what is set already.
    /// - Throws: `TemplateError` of the kind `input` if `json` is none.
    public mutating func set(_ name: String, toJSON json: String, isDefault: Bool = false) throws(TemplateError) {
        let value: JSON
        do { value = try JSON.parse(Array(json.utf8)) } catch { throw TemplateError(input: "\(name): \(error)") }
        if isDefault, arguments.contains(where: { $0.name == name }) { return }
        try set(name, to: value)
    }

    /// Sets something that the template can see, of which the last value counts; or `add_generation_prompt`.
    /// - Throws: `TemplateError` of the kind `input` for `messages`, and for a value that `add_generation_prompt` cannot have.
    public mutating func set(_ name: String, to value: JSON) throws(TemplateError) {
        switch name {
        case "messages": throw TemplateError(input: "messages: they are set already")
        case "add_generation_prompt":
            guard let bool = value.bool else { throw TemplateError(input: "\(name): true or false is needed") }
            addsGenerationPrompt = bool
        default: arguments.append((name, value))
        }
    }
}

extension Conversation {
    /// The roles that are trusted to be part of a control token's text, as in `<|` + role + `|>`.
    private static let knownRoles: Set<String> = [
        "system", "developer", "user", "assistant", "tool", "function", "model", "ipython", "observation",
    ]

    /// What the template sees: as transformers passes it (`apply_chat_template`), members that are null are left out, and
    /// reasoning goes by the names that templates use for it.
    func variables() throws(TemplateError) -> [(name: String, value: Value)] {
        var list: [Value] = []
        for message in messages {
            var mapping = Mapping()
            let members = message.members.filter { !$0.value.isNull }
            let names = ["reasoning_content", "thinking", "reasoning"]
            let reasoning = names.lazy.compactMap { name in members.last { $0.key == name }?.value }.first
            if let reasoning { try mapping.set("thinking", Value(reasoning)) }
            for (key, value) in members {
                if key == "role", let role = value.string, Self.knownRoles.contains(role) {
                    mapping.set(key, .string(role))
                } else {
                    try mapping.set(key, Value(value))
                }
            }
            if let reasoning { try mapping.set("reasoning_content", Value(reasoning)) }
            list.append(.dictionary(mapping))
        }
        var variables: [(name: String, value: Value)] = [
            ("messages", Value(list: list)), ("tools", .none), ("documents", .none),
            ("add_generation_prompt", .bool(addsGenerationPrompt)),
        ]
        for (name, value) in arguments { variables.append((name, try Value(value))) }
        return variables
    }
}
