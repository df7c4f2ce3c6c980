// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// A JSON object of options, as C callers and `tinysparse batch` give them.
///
/// Every member has to be asked for: one that nobody knows is more often a slip than a wish.
package struct Request {
    private let members: [(key: String, value: JSON)]

    package init(_ bytes: [UInt8]) throws(RequestError) {
        let json: JSON
        do { json = try JSON.parse(bytes) } catch { throw RequestError("\(error)") }
        guard let members = json.object else { throw RequestError("is no JSON object") }
        self.members = members
    }

    package subscript(_ key: String) -> JSON? {
        let value = members.last { $0.key == key }?.value
        return value?.isNull ?? true ? nil : value
    }

    /// - Throws: `RequestError` if there is a member of another name.
    package func limitKeys(to known: [String]) throws(RequestError) {
        guard let stranger = members.first(where: { !known.contains($0.key) }) else { return }
        throw RequestError("unknown member \(JSON.quoted(printable(stranger.key)))")
    }

    package func integer<T: FixedWidthInteger>(_ key: String, in range: ClosedRange<T>) throws(RequestError) -> T? {
        guard let value = self[key] else { return nil }
        guard let number = value.integer.flatMap({ T(exactly: $0) }), range.contains(number) else {
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
        "max_tokens", "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "stop", "context_shift",
    ]

    /// Options out of a request; what it does not name stays as in `defaults`.
    package init(request: Request, also keys: [String] = [], defaults: Self = .init()) throws(RequestError) {
        try request.limitKeys(to: Self.requestKeys + keys)
        self = defaults
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
        shiftsContext = try request.bool("context_shift") ?? shiftsContext
    }
}

extension Session.Options {
    package init(request: Request) throws(RequestError) {
        try request.limitKeys(to: [
            "threads", "context", "kernels", "block_size", "sparsity", "lm_head_screen", "cache", "memory_limit",
        ])
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
    }
}
