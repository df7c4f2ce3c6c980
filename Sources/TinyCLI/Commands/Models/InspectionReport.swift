// SPDX-License-Identifier: Apache-2.0

import TinyConversion
import TinyFormats
import TinyPlatform
import TinyRuntime
import TinySupport
import TinyTemplates
import TinyTokenizer

/// Facts about a tokenizer.
struct TokenizerFacts {
    let tokenizer: Tokenizer
    let kind: String
    let merges: Int
    let controls: Int

    /// - Throws: `FormatError`.
    init(path: String) throws(FormatError) {
        let spec = try TokenizerSpec(path: path)
        do throws(TokenizerError) { tokenizer = try Tokenizer(spec) } catch {
            throw FormatError(.unsupported, path: path, error.description)
        }
        kind =
            switch spec.model {
            case "gpt2": "byte-level BPE (\(spec.pre))"
            case "llama": "SentencePiece BPE"
            case TokenizerSpec.huggingFace: "\(tokenizer.isByteLevel ? "byte-level " : "")BPE (tokenizer.json)"
            default: "unigram"
            }
        merges = spec.merges.count
        controls = (0..<Int32(tokenizer.vocabularySize)).reduce(0) { [tokenizer] in
            $0 + (tokenizer.isControl($1) ? 1 : 0)
        }
    }

    /// What there is of a chat template, and whether it is understood.
    var template: String? {
        guard let source = tokenizer.chatTemplateSource else { return nil }
        do throws(TemplateError) {
            _ = try tokenizer.chatTemplate()
            return "Jinja, \(source.utf8.count) bytes"
        } catch {
            return "cannot be run: \(error.description)"
        }
    }

    func name(_ id: Int32?) -> String {
        guard let id else { return "none" }
        return "\(id) \"\(escaped(String(decoding: tokenizer.piece(of: id), as: UTF8.self), limit: 40))\""
    }
}

/// The description of a model file, as text or JSON. Everything that comes from the file is escaped.
struct InspectionReport {
    let path: String
    let contents: ModelContents
    let isNative: Bool
    let isVerified: Bool
    /// Or the reason why the model cannot be run.
    let config: Result<ModelConfig, FormatError>
    let tokenizer: Result<TokenizerFacts, FormatError>

    private var parameters: Int { (try? config.get().parameterCount) ?? contents.elementCount }

    // MARK: Text

    func text(tensors: Bool, metadata: Bool) -> String {
        var rows: [(String, String)] = [
            ("file", escaped(path)),
            ("format", (isNative ? "TinySparse native (" : "") + contents.format + (isNative ? ")" : "")),
            ("size", readable(bytes: contents.fileSize)),
            (
                "tensors",
                "\(contents.tensors.count): "
                    + contents.bytesByType.map { "\($0.count) \($0.type) (\(readable(bytes: $0.bytes)))" }
                    .joined(separator: ", ")
            ),
            ("parameters", "\(fixed(Double(parameters) / 1e6, 2)) million"),
        ]
        switch config {
        case .success(let config): rows += describe(config)
        case .failure(let error):
            rows.append(("architecture", escaped(contents.architecture ?? "unknown")))
            rows.append(("cannot run", escaped(error.description)))
        }
        switch tokenizer {
        case .success(let facts): rows += describe(facts)
        case .failure(let error): rows.append(("tokenizer", escaped(error.description)))
        }
        if isVerified { rows.append(("checksums", "all \(contents.tensors.count) tensors match")) }
        var out = rows.map { ($0.0 + ":").padded(to: 15) + $0.1 + "\n" }.joined()
        if metadata {
            out += "\nmetadata (\(contents.metadata.count)):\n"
            out += contents.metadata.map { "  \(escaped($0.key)) = \($0.text)  (\($0.type))\n" }.joined()
        }
        if tensors {
            out += "\ntensors (\(contents.tensors.count)), outermost dimension first:\n"
            let width = min(contents.tensors.map { $0.name.count }.max() ?? 0, 48)
            for tensor in contents.tensors {
                let size = tensor.bytes.map { readable(bytes: $0) } ?? "unknown size"
                out +=
                    "  " + escaped(tensor.name).padded(to: width) + "  " + tensor.type.padded(to: 8)
                    + "\(tensor.shape)".padded(to: 16) + "  " + size + "\n"
            }
        }
        return out
    }

    /// Positions, and the layers that do without or have others.
    private func positions(_ config: ModelConfig) -> String {
        guard case .rope(let rope) = config.positions else { return "learned" }
        let without = config.layerRopes.count { $0 == .none }
        let local = config.layerRopes.count { $0 == .local }
        return "rotary, base \(fixed(rope.base, 0)), \(rope.dims) of \(config.headDim) dimensions"
            + (rope.longFactors.isEmpty ? "" : "; other factors for more than \(rope.originalContext) tokens")
            + (without > 0 ? "; none in \(without) layers" : "")
            + (local > 0 ? "; base \(fixed(config.localRope?.base ?? 0, 0)) in \(local) layers" : "")
    }

    private func neurons(_ config: ModelConfig) -> String {
        let kind =
            config.activation.rawValue + (config.gated ? ", gated" : "") + (config.activatesUp ? " (up as well)" : "")
            + (config.activation.isSparse ? "; zeros are skipped in decode" : "")
        guard let experts = config.experts else { return "\(config.dFF) neurons, \(kind)" }
        let shared = config.dFF - experts.count * experts.width
        return "\(experts.active) of \(experts.count) experts of \(experts.width) neurons"
            + (shared > 0 ? " and \(shared) shared neurons" : "") + ", \(kind)"
    }

    private func norms(_ config: ModelConfig) -> String {
        let usual: Set<TensorRole> = [.attentionNorm, .mlpNorm, .outputNorm]
        let more = TensorRole.allCases.filter { $0.isNorm && config.norms.contains($0) && !usual.contains($0) }
        let missing = TensorRole.allCases.filter { usual.contains($0) && !config.norms.contains($0) }
        return "\(config.normKind.rawValue), epsilon \(config.normEpsilon)"
            + (more.isEmpty ? "" : "; also " + more.map { $0.rawValue }.joined(separator: ", "))
            + (missing.isEmpty ? "" : "; no " + missing.map { $0.rawValue }.joined(separator: ", "))
    }

    /// How much attention sees, and what is done to scores and logits.
    private func attention(_ config: ModelConfig) -> String {
        let limited = config.windows.filter { $0 > 0 }
        let window =
            limited.isEmpty
            ? "all tokens" : "the last \(limited.max()!) tokens in \(limited.count) of \(config.nLayers) layers"
        return window
            + (config.attentionSoftCap > 0 ? "; scores within ±\(fixed(Double(config.attentionSoftCap)))" : "")
            + (config.logitSoftCap > 0 ? "; logits within ±\(fixed(Double(config.logitSoftCap)))" : "")
    }

    private func describe(_ config: ModelConfig) -> [(String, String)] {
        [
            ("name", escaped(config.name)),
            ("architecture", escaped(config.architecture)),
            ("layers", "\(config.nLayers), \(config.dModel) wide"),
            ("heads", "\(config.nHeads), \(config.nKVHeads) for keys and values, \(config.headDim) wide"),
            ("feed forward", neurons(config)),
            ("residual", config.residual.rawValue),
            ("norm", norms(config)),
            ("positions", positions(config)),
            ("attention", attention(config)),
            (
                "context",
                "\(config.contextLength) tokens, \(readable(bytes: config.cacheBytesPerToken)) of KV cache each"
            ),
            ("output matrix", config.tiedHead ? "tied to the embedding" : "separate"),
            ("4-bit weights", describe(config.fourBit)),
            ("2-bit weights", describe(config.ternary)),
            ("predictors", describe(config.predictors)),
            ("logit screen", describe(config.predictors.screen)),
        ]
    }

    private func describe(_ packed: PackedRoles) -> String {
        packed.isEmpty ? "none" : packed.roles.map { $0.rawValue }.joined(separator: ", ")
    }

    private func describe(_ predictors: PredictorConfig) -> String {
        guard !predictors.isEmpty else { return "none" }
        func layers(_ ranks: [Int]) -> Int { ranks.count { $0 > 0 } }
        let gates = predictors.gates.count { $0 }
        let neurons = predictors.neuronGroup > 1 ? "groups of \(predictors.neuronGroup) neurons" : "neurons"
        return
            "for \(neurons) in \(layers(predictors.neuronRanks)) layers, for heads in \(layers(predictors.headRanks))"
            + (gates > 0 ? "; neurons selected by their gates in \(gates) layers" : "")
            + (predictors.neuronRelu ? "; with a ReLU between their layers" : "")
            + "; input: " + describe(predictors.neuronInput)
            + (predictors.headInput == .mlpNorm ? "" : ", for heads: \(describe(predictors.headInput))")
    }

    private func describe(_ input: PredictorConfig.Input) -> String {
        switch input {
        case .attentionNorm: "norm before the attention"
        case .mlpNorm: "norm before the MLP"
        case .attentionResidual: "residual stream before the attention"
        case .mlpResidual: "residual stream before the MLP"
        }
    }

    private func describe(_ screen: LMHeadScreenConfig?) -> String {
        guard let screen else { return "none" }
        return "rank \(screen.rank), margin \(fixed(Double(screen.margin))) for the argmax, "
            + "\(fixed(Double(screen.wideMargin))) for top-k, at most \(screen.rows) exact logits"
    }

    private func describe(_ facts: TokenizerFacts) -> [(String, String)] {
        let tokenizer = facts.tokenizer
        return [
            (
                "tokenizer",
                "\(facts.kind), \(tokenizer.vocabularySize) tokens, \(facts.controls) of them control tokens, "
                    + "\(facts.merges) merges"
            ),
            (
                "special",
                "begin \(facts.name(tokenizer.bos))\(tokenizer.bos == nil ? "" : tokenizer.addsBOS ? " (added)" : " (not added)"), "
                    + "end \(facts.name(tokenizer.eos)), end of turn \(facts.name(tokenizer.eot))"
            ),
            ("end tokens", tokenizer.endOfGeneration.map { facts.name($0) }.joined(separator: ", ")),
            ("chat template", escaped(facts.template ?? "none")),
        ]
    }

    // MARK: JSON

    func json(tensors: Bool, metadata: Bool) -> JSON {
        var members: [(key: String, value: JSON)] = [
            ("file", .string(path)), ("format", .string(contents.format)), ("native", .bool(isNative)),
            ("verified", .bool(isVerified)), ("file_bytes", .number(contents.fileSize)),
            ("tensor_count", .number(contents.tensors.count)),
            ("tensor_bytes", .number(contents.tensors.reduce(0) { $0 + ($1.bytes ?? 0) })),
            ("parameters", .number(parameters)),
        ]
        switch config {
        case .success(let config): members.append(("config", json(config)))
        case .failure(let error): members += [("config", .null), ("cannot_run", .string(error.description))]
        }
        switch tokenizer {
        case .success(let facts): members.append(("tokenizer", json(facts)))
        case .failure(let error): members += [("tokenizer", .null), ("tokenizer_error", .string(error.description))]
        }
        if tensors {
            members.append(
                (
                    "tensors",
                    .array(
                        contents.tensors.map { tensor in
                            .object([
                                ("name", .string(tensor.name)), ("type", .string(tensor.type)),
                                ("shape", .array(tensor.shape.map { .number($0) })),
                                ("bytes", tensor.bytes.map { .number($0) } ?? .null),
                            ])
                        })
                ))
        }
        if metadata {
            // Arrays are truncated; their type has their length.
            members.append(
                (
                    "metadata",
                    .array(
                        contents.metadata.map {
                            .object([("key", .string($0.key)), ("type", .string($0.type)), ("value", $0.value)])
                        })
                ))
        }
        return .object(members)
    }

    private func json(_ config: ModelConfig) -> JSON {
        let positions = if case .learned = config.positions { "learned" } else { "rope" }
        return .object([
            ("architecture", .string(config.architecture)), ("name", .string(config.name)),
            ("vocabulary_size", .number(config.vocabularySize)), ("embedding_length", .number(config.dModel)),
            ("layers", .number(config.nLayers)), ("heads", .number(config.nHeads)),
            ("kv_heads", .number(config.nKVHeads)), ("head_dimension", .number(config.headDim)),
            ("feed_forward_length", .number(config.dFF)), ("context_length", .number(config.contextLength)),
            ("norm", .string(config.normKind.rawValue)), ("activation", .string(config.activation.rawValue)),
            ("gated", .bool(config.gated)), ("positions", .string(positions)), ("tied_head", .bool(config.tiedHead)),
            ("residual", .string(config.residual.rawValue)),
            ("norms", .array(TensorRole.allCases.filter { config.norms.contains($0) }.map { .string($0.rawValue) })),
            ("windows", .array(config.windows.map { .number($0) })),
            ("experts", .number(config.experts?.count ?? 0)),
            ("active_experts", .number(config.experts?.active ?? 0)),
            ("cache_bytes_per_token", .number(config.cacheBytesPerToken)),
            ("has_predictors", .bool(!config.predictors.isEmpty)),
            ("output_screen_rank", .number(config.predictors.screen?.rank ?? 0)),
            ("four_bit", .array(config.fourBit.roles.map { .string($0.rawValue) })),
            ("ternary", .array(config.ternary.roles.map { .string($0.rawValue) })),
        ])
    }

    private func json(_ facts: TokenizerFacts) -> JSON {
        .object([
            ("kind", .string(facts.kind)), ("tokens", .number(facts.tokenizer.vocabularySize)),
            ("control_tokens", .number(facts.controls)), ("merges", .number(facts.merges)),
            ("bos", .optional(facts.tokenizer.bos)), ("eos", .optional(facts.tokenizer.eos)),
            ("eot", .optional(facts.tokenizer.eot)), ("adds_bos", .bool(facts.tokenizer.addsBOS)),
            ("end_of_generation", .array(facts.tokenizer.endOfGeneration.map { .integer(Int64($0)) })),
            ("adds_eos", .bool(facts.tokenizer.addsEOS)), ("chat_template", .optional(facts.template)),
        ])
    }
}
