// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// What the drivers read, and how: an input must end in a typed error or be usable to its last byte.
enum FuzzTarget: String, CaseIterable {
    /// A foreign .gguf file, converted and run.
    case gguf
    /// A native file without its checksums, so that the other checks stand alone, and run.
    case native
    case safetensors
    /// A `config.json`, a `tokenizer.json` and a safetensors file with zeros between them, converted and run.
    case folder
    /// A tokenizer.json, then used.
    case tokenizer
    /// A chat template and, after a zero, a conversation in JSON.
    case template
    /// A JSON schema, a regular expression or a grammar, then a text of it.
    case schema, regex, grammar
    /// Bytes as a prompt, as JSON options, and as token ids, for a model that is good.
    case prompt

    /// - Throws: nothing but what a damaged input may throw; anything else is a fault.
    func read(_ input: [UInt8]) {
        guard !input.isEmpty else { return }
        do {
            switch self {
            case .gguf:
                let gguf = try GGUF(memory(input))
                try run(NativeModelFile(image: nativeImage(gguf), verify: true))
            case .native:
                try run(NativeModelFile(image: memory(input), verify: false))
            case .safetensors:
                let file = try Safetensors(memory(input))
                for tensor in file.tensors { _ = xxHash64(file.bytes(of: tensor)) }
            case .folder:
                let parts = input.split(separator: 0, maxSplits: 2).map { Array($0) }
                guard parts.count == 3 else { return }
                try run(
                    NativeModelFile(
                        image: nativeImage(config: memory(parts[0]), tokenizer: parts[1], weights: memory(parts[2])),
                        verify: true))
            case .tokenizer:
                try use(Tokenizer(TokenizerSpec(huggingFaceTokenizerJSON: input)))
            case .template: try render(input.split(separator: 0, maxSplits: 1))
            case .schema: try follow(.jsonSchema(String(decoding: input, as: UTF8.self)))
            case .regex: try follow(.regularExpression(String(decoding: input, as: UTF8.self)))
            case .grammar: try follow(.grammar(String(decoding: input, as: UTF8.self)))
            case .prompt: try prompt(input)
            }
        } catch is FormatError {
        } catch is TokenizerError {
        } catch is TemplateError {
        } catch is JSONError {
        } catch is RuntimeError {
        } catch is RequestError {
        } catch is ConstraintError {
        } catch {
            fatalError("an error of another type: \(error)")
        }
    }

    private func memory(_ bytes: [UInt8]) throws -> MappedFile {
        try bytes.withUnsafeBytes { try MappedFile(copying: $0, named: "input") }
    }

    /// A few tokens, if the model is so small that a run takes no time.
    private func run(_ file: NativeModelFile) throws {
        let model = try Model(file)
        use(model.tokenizer)
        let config = model.config
        guard config.nLayers * (config.dModel + config.dFF) * config.dModel < 1 << 20,
            config.vocabularySize < 1 << 14
        else { return }
        let session = try Session(model, .init(threads: 1, context: min(config.contextLength, 8)))
        try session.evaluate(0..<Int32(min(session.contextLimit, config.vocabularySize, 6)))
    }

    private func use(_ tokenizer: Tokenizer) {
        let ids = tokenizer.encode("Once upon a time\n <|x|> 1+1 \u{1F642}")
        _ = tokenizer.decode(ids)
        for id in 0..<Int32(min(tokenizer.vocabularySize, 100)) { _ = tokenizer.piece(of: id) }
    }

    /// Renders a conversation with little work allowed, so that a run takes no time.
    private func render(_ parts: [ArraySlice<UInt8>]) throws {
        guard let source = parts.first else { return }
        let variables = try parts.dropFirst().first.map { try JSON.parse(Array($0)) } ?? Self.conversation.get()
        var limits = TemplateLimits()
        limits.work = 1 << 20
        let rendered = try Template(String(decoding: source, as: UTF8.self)).render(
            (variables.object ?? []).map { ($0.key, try Value($0.value)) },
            time: TemplateTime(year: 2024, month: 2, day: 29), limits: limits)
        var end = 0
        for range in rendered.own {
            guard range.lowerBound >= end, !range.isEmpty else { fatalError("ranges overlap") }
            end = range.upperBound
        }
        guard end <= rendered.bytes.count, String(validating: rendered.bytes, as: UTF8.self) != nil else {
            fatalError("the text is no text")
        }
    }

    private static let conversation = Result {
        try JSON.parse(
            Array(
                #"""
                {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U <|x|> é\n"},
                 {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1.5}}}]}],
                 "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {}}}}}],
                 "add_generation_prompt": true, "bos_token": "<s>", "x": "text", "list": [3, 1, 2], "keyed": {"b": 2, "a": 1}}
                """#.utf8))
    }

    /// Goes on with bytes that can come next; every way has to lead to an end or on.
    private func follow(_ constraint: Constraint) throws {
        let matcher = try ConstraintMatcher(constraint, Self.bytes, allowsEnd: false)
        for step in 0..<64 {
            let next = try matcher.allowed()
            guard !next.isEmpty else {
                guard matcher.accepts else { fatalError("a text that nothing can complete") }
                return
            }
            try matcher.advance(next[step * 7 % next.count])
        }
    }

    /// A vocabulary whose tokens are the bytes.
    private static let bytes = TokenBytes((0..<256).map { [UInt8($0)] }, ends: [])

    private func prompt(_ bytes: [UInt8]) throws {
        let tokenizer = Self.good.tokenizer
        let ids = tokenizer.encode(bytes, addSpecial: false, parseSpecial: bytes[0] & 1 == 0)
        // Text survives both ways; what is none is repaired.
        let decoded = tokenizer.decodeBytes(ids, skipSpecial: false)
        if String(validating: bytes, as: UTF8.self) != nil, decoded != bytes {
            fatalError("another text after encoding and decoding: \(bytes)")
        }
        let session = try Session(Self.good, .init(threads: 1, context: 32))
        try? session.evaluate(ids.prefix(12))
        _ = try? session.evaluate(bytes.prefix(8).map { Int32($0) - 8 })
        var options = GenerationOptions()
        options.maxTokens = 2
        if let request = try? Request(bytes), let asked = try? GenerationOptions(request: request) { options = asked }
        options.maxTokens = min(options.maxTokens, 2)
        try session.generate(String(decoding: bytes, as: UTF8.self), options) { _ in true }
    }

    /// The model for prompts; its path is the environment's TINYSPARSE_MODEL.
    private static let good = try! Model(path: modelPath())
}
