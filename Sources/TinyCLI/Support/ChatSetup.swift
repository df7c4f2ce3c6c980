// SPDX-License-Identifier: Apache-2.0

import TinySupport
import TinyTemplates
import TinyTokenizer

extension Option {
    /// How conversations become prompts.
    static let chat = [
        Option(
            "template", value: "FILE",
            "a chat template in Jinja, or \(builtInTemplates) (default: the model's own)"),
        Option(
            "template-arg", value: "KEY=JSON",
            "a variable of the template, for instance enable_thinking=false; can be repeated"),
    ]

    fileprivate static let builtInTemplates = ChatTemplate.builtIn.map { $0.name }.joined(separator: ", ")
}

/// A chat template and what the command line says of it.
struct ChatSetup: Sendable {
    private let template: ChatTemplate
    private let templateArguments: [(name: String, json: String)]
    /// What `--template` names; nil for the model's own template.
    private let name: String?

    /// The template of the options, or else of the model; nil if there is none.
    /// - Throws: `Failure`, which offers `--template` if the model's own cannot be run.
    init?(_ arguments: Arguments, _ tokenizer: Tokenizer) throws(Failure) {
        templateArguments = try arguments.templateArguments()
        name = arguments.string("template")
        let source = try name.map { (name) throws(Failure) in try Self.source(named: name) }
        do throws(TemplateError) {
            if let source {
                template = try ChatTemplate(jinja: source)
            } else if let own = try tokenizer.chatTemplate() {
                template = own
            } else {
                return nil
            }
        } catch {
            throw Self.failure(error, name)
        }
    }

    /// The ids of messages.
    /// - Throws: `Failure`.
    func encode(_ messages: [ChatMessage], _ tokenizer: Tokenizer) throws(Failure) -> [Int32] {
        try encode(Conversation(messages), tokenizer)
    }

    /// The ids of a conversation, whose own arguments come before those of the command line, and of a text after it.
    /// - Throws: `Failure`.
    func encode(
        _ conversation: Conversation, _ tokenizer: Tokenizer, continuation: String = ""
    ) throws(Failure) -> [Int32] {
        do throws(TemplateError) {
            var all = conversation
            for (name, json) in templateArguments { try all.set(name, toJSON: json, isDefault: true) }
            return try tokenizer.encode(all, template: template, continuation: continuation)
        } catch {
            throw Self.failure(error, name)
        }
    }

    private static func source(named name: String) throws(Failure) -> String {
        if let builtIn = ChatTemplate.builtIn.first(where: { $0.name == name }) { return builtIn.source }
        guard fileExists(name) else {
            throw .usage(
                "--template \(escaped(name, limit: 80)): there is no such file"
                    + suggestion(for: name, among: ChatTemplate.builtIn.map { $0.name })
                    + "; built in are \(Option.builtInTemplates)")
        }
        guard let text = String(validating: try readAll(name), as: UTF8.self) else {
            throw .problem("\(escaped(name)): is not UTF-8 text")
        }
        return text
    }

    private static func failure(_ error: TemplateError, _ name: String?) -> Failure {
        if error.kind == .input { return .problem(escaped(error.reason)) }
        let what = name.map { "the chat template \(escaped($0))" } ?? "the model's chat template"
        let hint = name == nil && error.kind != .raised ? "; choose another one by --template" : ""
        return .problem("\(what): \(escaped(error.description))\(hint)")
    }
}

extension Arguments {
    /// The values of --template-arg.
    fileprivate func templateArguments() throws(Failure) -> [(name: String, json: String)] {
        var list: [(name: String, json: String)] = []
        for word in strings("template-arg") {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty else {
                throw .usage("--template-arg \(escaped(word, limit: 80)): expected KEY=JSON")
            }
            list.append((String(parts[0]), String(parts[1])))
        }
        return list
    }
}
