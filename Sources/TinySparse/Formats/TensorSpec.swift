// SPDX-License-Identifier: Apache-2.0

import Quant

/// A tensor of a native file: its name, shape and storage. A matrix with its scales is one.
package struct TensorSpec: Equatable {
    package enum Storage: Equatable {
        /// Floats.
        case vector(count: Int)
        /// Rows of floats.
        case table(rows: Int, cols: Int)
        /// int8 rows, one for each output, in `NAME.weight`, and in `NAME.scale` one float for each row.
        case int8(rows: Int, cols: Int)
        /// 4-bit rows with their scales, sixteen to a block, in `NAME.weight`, as bytes: see `FourBitKernels`.
        case fourBit(rows: Int, cols: Int)
        /// Rows of weights of two bits in `NAME.weight`, as bytes, and in `NAME.scale` one float for each row: see `TernaryRows`.
        case ternary(rows: Int, cols: Int)
        /// int8 columns of the matrix as rows, one for each input, in `NAME.weight`, and in `NAME.scale` one float for
        /// each output.
        case neuronMajor(outputs: Int, inputs: Int)
    }

    package let id: TensorID
    package let storage: Storage

    /// Shape of the tensor in a source checkpoint, outermost dimension first.
    package var sourceShape: [Int] {
        switch storage {
        case .vector(let count): [count]
        case .table(let rows, let cols), .int8(let rows, let cols),
            .fourBit(let rows, let cols), .ternary(let rows, let cols), .neuronMajor(let rows, let cols):
            [rows, cols]
        }
    }

    package var isMatrix: Bool {
        switch storage {
        case .vector, .table: false
        case .int8, .fourBit, .ternary, .neuronMajor: true
        }
    }

    package var isFourBit: Bool {
        if case .fourBit = storage { true } else { false }
    }

    package var isTernary: Bool {
        if case .ternary = storage { true } else { false }
    }

    package var isNeuronMajor: Bool {
        if case .neuronMajor = storage { true } else { false }
    }

    /// `blk.3.attn_q`. A transposed output projection has a name of its own: the matrix is square in most models, and
    /// mistaken for the other it would be silently wrong.
    private var stem: String {
        id.role == .attentionOutput && isNeuronMajor ? id.stem + "_t" : id.stem
    }

    /// The tensors of the native file, dimensions as in GGUF: contiguous first.
    package var tensors: [(name: String, format: BlockFormat, dimensions: [Int])] {
        switch storage {
        case .vector(let count): [(id.name, .f32, [count])]
        case .table(let rows, let cols): [(id.name, .f32, [cols, rows])]
        case .int8(let rows, let cols):
            [
                (stem + ".weight", .i8, [Matrix.stride(forColumns: cols), rows]),
                (stem + ".scale", .f32, [rows]),
            ]
        case .fourBit(let rows, let cols):
            [
                (
                    stem + ".weight", .i8,
                    [FourBitMatrix.blockBytes(forColumns: cols), FourBitMatrix.blocks(forRows: rows)]
                )
            ]
        case .ternary(let rows, let cols):
            [
                (stem + ".weight", .i8, [TernaryMatrix.stride(forColumns: cols), rows]),
                (stem + ".scale", .f32, [rows]),
            ]
        case .neuronMajor(let outputs, let inputs):
            [
                (stem + ".weight", .i8, [Matrix.stride(forColumns: outputs), inputs]),
                (stem + ".scale", .f32, [outputs]),
            ]
        }
    }
}

extension ModelConfig {
    /// Everything a native file of this model holds, in order. O(layers).
    package var tensorSpecs: [TensorSpec] {
        let roles = TensorRole.allCases
        let first = roles.prefix { !$0.isOfLayer }, last = roles.drop { !$0.isOfLayer }.drop { $0.isOfLayer }
        let ofLayer = roles.filter { $0.isOfLayer }
        var specs = first.flatMap { self.specs(TensorID($0)) }
        for layer in 0..<nLayers { specs += ofLayer.flatMap { self.specs(TensorID($0, layer)) } }
        return specs + last.flatMap { self.specs(TensorID($0)) }
    }

    /// A tensor and its bias; empty if the model has none.
    private func specs(_ id: TensorID) -> [TensorSpec] {
        guard let storage = storage(of: id) else { return [] }
        let weight = TensorSpec(id: id, storage: storage)
        return hasBias(id.role)
            ? [weight, TensorSpec(id: id.bias, storage: .vector(count: weight.sourceShape[0]))] : [weight]
    }

    /// Whether the tensors of a role come with a bias.
    package func hasBias(_ role: TensorRole) -> Bool {
        if role.isNorm { return normKind == .layer }
        return biases.contains(role) || role == .neuronExpand || role == .headExpand
    }

    /// How a tensor is stored; nil if the model has none.
    private func storage(of id: TensorID) -> TensorSpec.Storage? {
        func matrix(_ rows: Int, _ cols: Int) -> TensorSpec.Storage {
            if ternary.contains(id.role) { return .ternary(rows: rows, cols: cols) }
            return fourBit.contains(id.role) ? .fourBit(rows: rows, cols: cols) : .int8(rows: rows, cols: cols)
        }
        func norm(_ width: Int) -> TensorSpec.Storage? { norms.contains(id.role) ? .vector(count: width) : nil }
        func rank(_ ranks: [Int]) -> Int? {
            guard let layer = id.layer, layer < ranks.count, ranks[layer] > 0 else { return nil }
            return ranks[layer]
        }
        switch id.role {
        case .tokenEmbedding: return matrix(vocabularySize, embeddingWidth)
        case .embeddingIn: return projectsEmbeddings ? matrix(dModel, embeddingWidth) : nil
        case .embeddingOut: return projectsEmbeddings ? matrix(embeddingWidth, dModel) : nil
        case .positions:
            return positions == .learned ? .table(rows: contextLength, cols: dModel) : nil
        case .attentionNorm, .attentionPostNorm, .mlpNorm, .mlpPostNorm, .outputNorm: return norm(dModel)
        case .queryNorm: return norm(normalizesAllHeads ? dQuery : headDim)
        case .keyNorm: return norm(normalizesAllHeads ? dKV : headDim)
        case .attentionSubNorm: return norm(dQuery)
        case .mlpSubNorm: return norm(dFF)
        case .router: return experts.map { .table(rows: $0.count, cols: dModel) }
        case .sharedGate: return experts?.gatesShared ?? false ? .vector(count: dModel) : nil
        case .query: return matrix(dQuery, dModel)
        case .key, .value: return matrix(dKV, dModel)
        case .attentionOutput:
            return isOutputByHead(id.layer!) ? .neuronMajor(outputs: dModel, inputs: dQuery) : matrix(dModel, dQuery)
        case .up: return matrix(dFF, dModel)
        case .gate: return gated ? matrix(dFF, dModel) : nil
        case .down:
            let isByOutput = fourBit.contains(.down) || ternary.contains(.down)
            return isByOutput ? matrix(dModel, dFF) : .neuronMajor(outputs: dModel, inputs: dFF)
        case .neuronReduce: return rank(predictors.neuronRanks).map { .int8(rows: $0, cols: dModel) }
        case .neuronExpand:
            return rank(predictors.neuronRanks).map { .neuronMajor(outputs: dFF / predictors.neuronGroup, inputs: $0) }
        case .gateGain: return predictors.isGateChosen(id.layer!) ? .vector(count: dFF) : nil
        case .headReduce: return rank(predictors.headRanks).map { .int8(rows: $0, cols: dModel) }
        case .headExpand: return rank(predictors.headRanks).map { .neuronMajor(outputs: nHeads, inputs: $0) }
        case .lmHead: return tiedHead ? nil : matrix(vocabularySize, embeddingWidth)
        case .screenReduce: return predictors.screen.map { .int8(rows: $0.rank, cols: embeddingWidth) }
        case .screenExpand: return predictors.screen.map { .int8(rows: vocabularySize, cols: $0.rank) }
        }
    }

    /// Whether a layer's output projection is stored transposed, so that the rows of skipped heads are not read.
    package func isOutputByHead(_ layer: Int) -> Bool { predictors.hasHeads(layer) && canStoreOutputByHead }

    /// Blocks of 4-bit weights hold sixteen rows together: a single row cannot be read without the other fifteen. Ternary
    /// weights have a scale for each output.
    package var canStoreOutputByHead: Bool {
        !fourBit.contains(.attentionOutput) && !ternary.contains(.attentionOutput)
    }

    /// Weights, biases and norms; a matrix that is used twice counts once. O(layers).
    package var parameterCount: Int { tensorSpecs.reduce(0) { $0 + $1.sourceShape.reduce(1, *) } }
}
