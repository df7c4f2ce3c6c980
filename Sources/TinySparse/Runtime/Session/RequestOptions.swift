// SPDX-License-Identifier: Apache-2.0

import TinyConstraints
import TinySupport
import TinyTemplates
import TinyTokenizer

/// A JSON object of options, as C callers and `tinysparse batch` give them.
///
/// Every member has to be asked for: one that nobody knows is more often a slip than a wish.
package struct Request {
    private let members: [(key: String, value: JSON, text: String)]

    package init(_ bytes: [UInt8]) throws(RequestError) {
        let parsed: (JSON, members: [Range<Int>])
        do { parsed = try JSON.parseWithRanges(bytes) } catch { throw RequestError("\(error)") }
        guard let members = parsed.0.object else { throw RequestError("is no JSON object") }
        self.members = zip(members, parsed.members).map { member, range in
            (member.key, member.value, String(decoding: bytes[range], as: UTF8.self))
        }
    }

    /// The value of a member, of several with one key the last; nil if there is none, and for null.
    package subscript(_ key: String) -> JSON? { member(key)?.value }

    private func member(_ key: String) -> (value: JSON, text: String)? {
        guard let last = members.last(where: { $0.key.utf8.elementsEqual(key.utf8) }), !last.value.isNull else {
            return nil
        }
        return (last.value, last.text)
    }

    /// A string or number that names the request, as JSON text: of a number every digit as it came.
    package func identifier(_ key: String) throws(RequestError) -> String? {
        switch member(key) {
        case nil: return nil
        case (.string(let string), _)?: return JSON.quoted(string)
        case (.array, _)?, (.object, _)?: throw RequestError("\(key): a string or a number is needed")
        case (_, let text)?: return text
        }
    }

    /// - Throws: `RequestError` if there is a member of another name.
    package func limitKeys(to known: [String]) throws(RequestError) {
        guard let stranger = members.first(where: { !known.contains($0.key) }) else { return }
        throw RequestError("unknown member \(JSON.quoted(printable(stranger.key)))")
    }

    /// A whole number, however it is written: 2, 2.0 and 2e0 are the same.
    package func integer<T: FixedWidthInteger>(_ key: String, in range: ClosedRange<T>) throws(RequestError) -> T? {
        guard let (value, text) = member(key) else { return nil }
        // From 2^53 on a double may stand for another number than the one written.
        let rounded = value.double.flatMap { $0.magnitude < 0x1p53 ? T(exactly: $0) : nil }
        guard let number = value.string == nil ? T(text) ?? rounded : nil, range.contains(number) else {
            throw RequestError("\(key): a whole number from \(range.lowerBound) to \(range.upperBound) is needed")
        }
        return number
    }

    package func number(_ key: String, in range: ClosedRange<Float>) throws(RequestError) -> Float? {
        guard let value = self[key] else { return nil }
        guard let number = value.double.map({ Float($0) }), range.contains(number) else {
            throw RequestError("\(key): a number from \(range.lowerBound) to \(range.upperBound) is needed")
        }
        return number
    }

    package func bool(_ key: String) throws(RequestError) -> Bool? {
        guard let value = self[key] else { return nil }
        guard let bool = value.bool else { throw RequestError("\(key): true or false is needed") }
        return bool
    }

    package func string(_ key: String) throws(RequestError) -> String? {
        guard let value = self[key] else { return nil }
        guard let string = value.string else { throw RequestError("\(key): a string is needed") }
        return string
    }

    /// The members of a request that has messages instead of a prompt.
    package static let chatKeys = ["messages", "tools", "documents", "add_generation_prompt", "template_args"]

    /// The conversation of a request that has `messages`; nil without them.
    /// - Throws: `RequestError` for messages that are none, and for a prompt beside them.
    package func conversation() throws(RequestError) -> Conversation? {
        guard let messages = self["messages"] else { return nil }
        guard self["prompt"] == nil else { throw RequestError("a prompt and messages cannot be combined") }
        do throws(TemplateError) {
            var conversation = try Conversation(json: messages)
            for key in ["tools", "documents", "add_generation_prompt"] {
                if let value = self[key] { try conversation.set(key, to: value) }
            }
            if let arguments = self["template_args"] {
                guard let members = arguments.object else {
                    throw TemplateError(input: "template_args: an object is needed")
                }
                for (name, value) in members { try conversation.set(name, to: value) }
            }
            return conversation
        } catch {
            throw RequestError(error.description)
        }
    }

    /// A string, or a list of strings.
    package func strings(_ key: String) throws(RequestError) -> [String]? {
        guard let value = self[key] else { return nil }
        if let string = value.string { return [string] }
        guard let strings = value.array?.map({ $0.string }), !strings.contains(nil) else {
            throw RequestError("\(key): a string or a list of strings is needed")
        }
        return strings.compactMap { $0 }
    }
}

/// What is wrong with a request.
package struct RequestError: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ message: String) { description = message }
}

extension GenerationOptions {
    /// The names of the options.
    package static let requestKeys = [
        "max_tokens", "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "stop", "ignore_eos",
        "context_shift",
    ]

    /// Options out of a request; what it does not name stays as in `defaults`.
    package init(request: Request, also keys: [String] = [], defaults: Self = .init()) throws(RequestError) {
        self = defaults
        try request.limitKeys(to: Self.requestKeys + Constraint.requestKeys + keys)
        constraint = try Constraint.requested(request) ?? constraint
        maxTokens = try request.integer("max_tokens", in: 0...Int.max) ?? maxTokens
        sampling.temperature = try request.number("temperature", in: 0...100) ?? sampling.temperature
        sampling.topK = try request.integer("top_k", in: 0...Int.max) ?? sampling.topK
        sampling.topP = try request.number("top_p", in: Float.leastNonzeroMagnitude...1) ?? sampling.topP
        sampling.minP = try request.number("min_p", in: 0...1) ?? sampling.minP
        sampling.repeatPenalty =
            try request.number("repeat_penalty", in: Float.leastNonzeroMagnitude...100) ?? sampling.repeatPenalty
        sampling.seed = try request.integer("seed", in: 0...UInt64.max) ?? sampling.seed
        stop = try request.strings("stop") ?? stop
        guard !stop.contains("") else { throw RequestError("stop: an empty text ends nothing") }
        ignoresEndOfText = try request.bool("ignore_eos") ?? ignoresEndOfText
        shiftsContext = try request.bool("context_shift") ?? shiftsContext
    }
}

extension Session.Options {
    /// Options out of a request.
    package init(request: Request, also keys: [String] = []) throws(RequestError) {
        try request.limitKeys(
            to: [
                "threads", "context", "kernels", "block_size", "sparsity", "lm_head_screen", "cache", "memory_limit",
                "speculate",
            ] + keys)
        self.init()
        threads = try request.integer("threads", in: 0...256) ?? threads
        context = try request.integer("context", in: 0...(1 << 24)) ?? context
        kernels = try request.string("kernels") ?? kernels
        blockSize = try request.integer("block_size", in: 1...4096) ?? blockSize
        memoryLimit = try request.integer("memory_limit", in: 0...Int.max)
        if let name = try request.string("cache") {
            guard let type = CacheType(rawValue: name) else {
                throw RequestError("cache: \"half\" or \"int8\" is needed")
            }
            cacheType = type
        }
        screensHead = try request.bool("lm_head_screen") ?? screensHead
        switch try request.string("sparsity") ?? "off" {
        case "off": sparsity = .off
        case "predicted": sparsity = .predicted()
        default: throw RequestError("sparsity: \"off\" or \"predicted\" is needed")
        }
        switch try request.string("speculate") ?? "off" {
        case "off": speculation = .off
        case "lookup": speculation = .promptLookup
        case "self": speculation = .selfDraft
        default: throw RequestError("speculate: \"off\", \"lookup\" or \"self\" is needed")
        }
    }
}
