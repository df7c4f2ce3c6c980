// SPDX-License-Identifier: Apache-2.0

import Quant
import TinyFormats
import TinyPlatform
import TinySupport

// Finding the tensors of a source checkpoint, and checking them, before anything is written.

extension Converter {
    /// A tensor of the native file and what it is made of.
    struct Part {
        var spec: TensorSpec
        let tensor: SourceTensor
        /// The others that make up the matrices of a mixture's experts, or the scale of a packed matrix.
        var more: [SourceTensor] = []
        /// Rows of the source before the first that is needed.
        let skippedRows: Int
        /// Whether the source has the matrix as `[inputs, outputs]`.
        let isTransposed: Bool
        /// Whether it is a bias that a source may leave out, and `tensor` its matrix.
        var isZero = false
    }

    /// Finds the tensor that becomes a native one, and checks it.
    static func part(_ spec: TensorSpec, of source: any ModelSource) throws(FormatError) -> Part {
        if let experts = source.config.experts, source.map.slots[spec.id.role]?.isOfExperts ?? false {
            return try part(spec, of: source, experts)
        }
        let name = source.map.name(of: spec.id)
        guard let tensor = source.tensor(name) else {
            // Others' predictors have no biases.
            if spec.id.isBias, !spec.id.role.isOfSource,
                let matrix = source.tensor(source.map.name(of: TensorID(spec.id.role, spec.id.layer)))
            {
                return Part(spec: spec, tensor: matrix, skippedRows: 0, isTransposed: false, isZero: true)
            }
            throw FormatError(
                .missing, path: source.path, item: name,
                "the tensor is missing; the file is incomplete or of another architecture")
        }
        if source.coding.isPacked, spec.isMatrix, spec.id.layer != nil, spec.id.role.isOfSource {
            return try packedPart(spec, tensor, of: source)
        }
        let slot = source.map.slots[spec.id.role]
        var (shape, skippedRows) = (spec.sourceShape, 0)
        if let fused = slot?.fused { shape[0] = fused.count(source.config) }
        let isTransposed =
            switch slot?.orientation ?? .outputsFirst {
            case .outputsFirst: false
            case .inputsFirst: shape.count == 2
            case .byShape: shape.count == 2 && tensor.shape != shape
            }
        if isTransposed { shape.reverse() }
        if let skipped = slot?.skippedRows, tensor.shape.first == shape[0] + skipped {
            skippedRows = skipped
            shape[0] += skipped
        }
        // A vector may be stored as a matrix of one row, or as one row for each head.
        let isSame = tensor.shape == shape || shape.count == 1 && tensor.shape.reduce(1, *) == shape[0]
        guard isSame else {
            throw tensor.error(
                .mismatch, "has the shape \(tensor.shape), but the configuration demands \(shape)")
        }
        try requireReadable(tensor)
        return Part(spec: spec, tensor: tensor, skippedRows: skippedRows, isTransposed: isTransposed)
    }

    /// - Throws: `FormatError` if the tensor's type is not supported, or does not fit its shape.
    static func requireReadable(_ tensor: SourceTensor) throws(FormatError) {
        guard let format = tensor.format else {
            let supported = BlockFormat.allCases.filter { $0 != .i8 }.map { $0.name }.joined(separator: ", ")
            throw tensor.error(
                .unsupported,
                "its type, \(tensor.typeName), is not supported; supported are \(supported); "
                    + "get another version of the model")
        }
        // A tail belongs to one matrix; where those of several would be, bitnet.cpp does not say.
        let hasPlace = format.tailBytes == 0 || tensor.shape.count == 2
        guard format != .i8, hasPlace, format.byteCount(of: tensor.shape.last ?? 0) != nil else {
            throw tensor.error(.unsupported, "its type, \(tensor.typeName), does not fit the shape \(tensor.shape)")
        }
    }

    /// A packed matrix with its scale.
    static func packedPart(
        _ spec: TensorSpec, _ tensor: SourceTensor, of source: any ModelSource
    ) throws(FormatError) -> Part {
        let shape = [spec.sourceShape[0] / 4, spec.sourceShape[1]]
        guard tensor.typeName == "U8", tensor.shape == shape, spec.sourceShape[0] % 4 == 0 else {
            throw tensor.error(
                .mismatch, "is \(tensor.typeName) \(tensor.shape), but packed ternary weights are U8 \(shape)")
        }
        guard let scale = source.tensor(tensor.name + "_scale"), scale.shape.reduce(1, *) == 1, scale.format != nil
        else {
            throw tensor.error(.missing, "its scale, \(tensor.name)_scale, is missing, or not one number")
        }
        var part = Part(spec: spec, tensor: tensor, skippedRows: 0, isTransposed: false)
        part.more = [scale]
        return part
    }

    /// Finds the tensors that hold the experts of a mixture.
    static func part(
        _ spec: TensorSpec, of source: any ModelSource, _ experts: Experts
    ) throws(FormatError) -> Part {
        let config = source.config, isDown = spec.id.role == .down
        func shape(_ width: Int) -> [Int] { isDown ? [config.dModel, width] : [width, config.dModel] }
        var found: [SourceTensor] = []
        let names = source.map.names(ofExperts: spec.id, experts),
            hasShared = config.dFF > experts.count * experts.width
        for (number, name) in names.enumerated() {
            guard let tensor = source.tensor(name) else {
                throw FormatError(
                    .missing, path: source.path, item: name,
                    "the tensor is missing; the file is incomplete or of another architecture")
            }
            let isShared = hasShared && number == names.count - 1
            let one = shape(isShared ? config.dFF - experts.count * experts.width : experts.width)
            let wanted = isShared || names.count >= experts.count ? one : [experts.count] + one
            guard tensor.shape == wanted else {
                throw tensor.error(
                    .mismatch, "has the shape \(tensor.shape), but the configuration demands \(wanted)")
            }
            try requireReadable(tensor)
            found.append(tensor)
        }
        var part = Part(spec: spec, tensor: found[0], skippedRows: 0, isTransposed: false)
        part.more = Array(found.dropFirst())
        return part
    }

    /// Rows are padded to 64 columns, so a file of absurdly narrow matrices would grow beyond measure. Real models take
    /// less than two bytes per weight.
    static func checkSize(_ parts: [Part], path: String) throws(FormatError) {
        let weights = parts.reduce(0) {
            $1.more.reduce($0 + $1.tensor.shape.reduce(1, *)) { $0 + $1.shape.reduce(1, *) }
        }
        let after = parts.flatMap { $0.spec.tensors }.reduce(0) {
            $0 + $1.format.byteCount(of: $1.dimensions.reduce(1, *))!
        }
        guard after <= 8 * weights + (1 << 26) else {
            throw FormatError(
                .unsupported, path: path,
                "its matrices are so narrow that \(weights) weights would take \(after) bytes")
        }
    }

    /// Refuses tensors that no part of the model uses: without them it would compute something else than it was trained
    /// to. Tensors that only repeat what is known are fine: such as are derived from settings, and a tied LM head.
    static func requireAllUsed(_ names: [String], _ parts: [Part], _ source: any ModelSource)
        throws(FormatError)
    {
        let used = Set(parts.flatMap { [$0.tensor] + $0.more }.map { $0.name })
        let tiedHead = source.config.tiedHead ? source.map.name(of: TensorID(.lmHead)) : nil
        for name in names.filter({ !used.contains($0) }).sorted() {
            if source.map.derived.contains(where: { name.hasSuffix($0) }) { continue }
            if name == tiedHead {
                try requireSame(name, source.map.name(of: TensorID(.tokenEmbedding)), source)
                continue
            }
            throw FormatError(
                .unsupported, path: source.tensor(name)?.path ?? source.path, item: name,
                "\(source.config.architecture) models have no such tensor, at least not with these settings; "
                    + "the model is of another architecture or has additions that are not supported")
        }
    }

    /// The LM head of a model that ties it to the embedding has to be the same.
    static func requireSame(_ head: String, _ embedding: String, _ source: any ModelSource) throws(FormatError) {
        guard let head = source.tensor(head), let embedding = source.tensor(embedding) else { return }
        guard head.shape == embedding.shape, head.typeName == embedding.typeName,
            head.bytes.elementsEqual(embedding.bytes)
        else {
            throw head.error(
                .mismatch,
                "differs from \(embedding.name), although tie_word_embeddings is true; "
                    + "set it to false to use this tensor")
        }
    }

    /// Refuses weights that are codes of a quantization method, and what is no model but a change to one.
    static func requirePlain(_ names: [String], path: String) throws(FormatError) {
        let kinds = [
            (["qweight", "qzeros"], "is packed by GPTQ or AWQ"),
            (["weight_packed"], "is packed by compressed-tensors"),
            (["weight.absmax", "SCB"], "is packed by bitsandbytes"),
            (["lora_A.weight", "lora_B.weight", "lora_a", "lora_b"], "is part of an adapter"),
        ]
        for (endings, what) in kinds {
            for name in names where endings.contains(where: { name.hasSuffix("." + $0) }) {
                throw FormatError(
                    .unsupported, path: path, item: name,
                    "the tensor \(what), which is not supported; get the whole model with 16-bit weights, or a GGUF file"
                )
            }
        }
    }
}
