// SPDX-License-Identifier: Apache-2.0

import Quant
import SIMDKernels
import TinyFormats
import TinySupport

/// The weights of a model in the order in which a forward pass uses them: architectures are data, and
/// this is that data.
package struct Weights: Sendable {
    struct Norm: @unchecked Sendable {
        let weight: UnsafePointer<Float>
        /// Layer norms have one, RMS norms have none.
        let bias: UnsafePointer<Float>?
    }

    package struct Layer: Sendable {
        /// nil where the half reads the residual stream as it is, or, of a parallel MLP, what attention reads.
        let attentionNorm, mlpNorm: Norm?
        package let query, key, value, output: Linear
        /// Of a head, or of all heads together; nil for none.
        let queryNorm, keyNorm: Norm?
        /// Of what `output` and `down` multiply, and of what they give; nil for none.
        let attentionSubNorm, attentionPostNorm, mlpSubNorm, mlpPostNorm: Norm?
        let up: Linear
        /// nil if the MLP is not gated.
        let gate: Linear?
        package let down: Linear
        /// `[experts, dModel]` and `[dModel]` of a mixture of experts.
        let router, sharedGate: Floats?
        /// What names this layer's active neurons and heads; nil if the file has none.
        let neuronPredictor, headPredictor: Predictor?
        /// What chooses neurons by their gates instead; nil if nothing does.
        let gateRule: GateRule?

        var matrices: [Linear] { [query, key, value, output, up, gate, down].compactMap { $0 } }
    }

    let embedding: Linear
    /// From embeddings to the residual stream and back; nil where both have the same width.
    let embeddingIn, embeddingOut: Linear?
    /// [contextLength, dModel]; nil for rotary positions.
    let positions: Floats?
    package let layers: [Layer]
    /// nil where the LM head multiplies the residual stream as it is.
    let outputNorm: Norm?
    package let head: Linear
    /// What finds the rows of the head that are worth computing; nil if the file has none.
    package let screen: LMHeadScreenWeights?
    /// What predictors read: those of neurons of their layer, those of heads of the layer before.
    let neuronInput, headInput: PredictorConfig.Input

    init(_ file: NativeModelFile) throws(FormatError) {
        let config = file.config
        let predictors = config.predictors
        // Smaller models stay in the last level of cache between two tokens.
        let exceedsCache = file.gguf.file.size > 24 << 20
        func norm(_ role: TensorRole, _ layer: Int? = nil) throws(FormatError) -> Norm? {
            guard config.norms.contains(role) else { return nil }
            let id = TensorID(role, layer)
            let bias = config.hasBias(id.role) ? try file.floats(id.bias).baseAddress : nil
            return Norm(weight: try file.floats(id).baseAddress!, bias: bias)
        }
        func floats(_ role: TensorRole, _ layer: Int) throws(FormatError) -> Floats {
            Floats(pointer: try file.floats(TensorID(role, layer)).baseAddress!)
        }
        func linear(_ id: TensorID) throws(FormatError) -> Linear {
            let bias = config.hasBias(id.role) ? try file.floats(id.bias).baseAddress : nil
            switch try file.tensor(id) {
            case .int8(let matrix, let isNeuronMajor):
                return Linear(matrix, bias: bias, isNeuronMajor: isNeuronMajor, exceedsCache: exceedsCache)
            case .fourBit(let matrix): return Linear(matrix, bias: bias)
            case .ternary(let matrix): return Linear(matrix, bias: bias)
            case .floats: preconditionFailure("\(id.stem) is not a matrix")
            }
        }
        func predictor(
            _ reduce: TensorID, _ expand: TensorID, _ ranks: [Int], _ thresholds: [Float], group: Int = 1,
            hasRelu: Bool = false
        ) throws(FormatError) -> Predictor? {
            guard let i = reduce.layer, !ranks.isEmpty, ranks[i] > 0 else { return nil }
            return Predictor(
                reduce: try linear(reduce), expand: try linear(expand), threshold: thresholds[i], group: group,
                hasRelu: hasRelu)
        }
        embedding = try linear(TensorID(.tokenEmbedding))
        embeddingIn = config.projectsEmbeddings ? try linear(TensorID(.embeddingIn)) : nil
        embeddingOut = config.projectsEmbeddings ? try linear(TensorID(.embeddingOut)) : nil
        if case .learned = config.positions {
            positions = Floats(pointer: try file.floats(TensorID(.positions)).baseAddress!)
        } else {
            positions = nil
        }
        layers = try (0..<config.nLayers).map { i throws(FormatError) in
            Layer(
                attentionNorm: try norm(.attentionNorm, i), mlpNorm: try norm(.mlpNorm, i),
                query: try linear(TensorID(.query, i)), key: try linear(TensorID(.key, i)),
                value: try linear(TensorID(.value, i)), output: try linear(TensorID(.attentionOutput, i)),
                queryNorm: try norm(.queryNorm, i), keyNorm: try norm(.keyNorm, i),
                attentionSubNorm: try norm(.attentionSubNorm, i), attentionPostNorm: try norm(.attentionPostNorm, i),
                mlpSubNorm: try norm(.mlpSubNorm, i), mlpPostNorm: try norm(.mlpPostNorm, i),
                up: try linear(TensorID(.up, i)),
                gate: config.gated ? try linear(TensorID(.gate, i)) : nil, down: try linear(TensorID(.down, i)),
                router: config.experts == nil ? nil : try floats(.router, i),
                sharedGate: config.experts?.gatesShared ?? false ? try floats(.sharedGate, i) : nil,
                neuronPredictor: try predictor(
                    TensorID(.neuronReduce, i), TensorID(.neuronExpand, i), predictors.neuronRanks,
                    predictors.neuronThresholds, group: predictors.neuronGroup, hasRelu: predictors.neuronRelu),
                headPredictor: try predictor(
                    TensorID(.headReduce, i), TensorID(.headExpand, i), predictors.headRanks, predictors.headThresholds),
                gateRule: predictors.isGateChosen(i)
                    ? GateRule(
                        gain: try file.floats(TensorID(.gateGain, i)).baseAddress!,
                        threshold: predictors.neuronThresholds[i]) : nil)
        }
        outputNorm = try norm(.outputNorm)
        head = try linear(TensorID(.lmHead))
        if let config = predictors.screen {
            screen = LMHeadScreenWeights(
                reduce: try linear(TensorID(.screenReduce)), expand: try linear(TensorID(.screenExpand)), config: config
            )
        } else {
            screen = nil
        }
        (neuronInput, headInput) = (predictors.neuronInput, predictors.headInput)
    }
}

/// Read-only floats in the model file.
struct Floats: @unchecked Sendable {
    let pointer: UnsafePointer<Float>
}

/// Names the neurons of a gated MLP that matter by the gates themselves, which are then computed for all: neuron i
/// does if |act(gate_i)| gain_i is at least the threshold. See docs/NUMERICS.md, 10.
struct GateRule: @unchecked Sendable {
    /// [dFF]: how much of the residual stream a gate of 1 usually lets through.
    let gain: UnsafePointer<Float>
    let threshold: Float
}

/// A linear map: `inputs` numbers in, `outputs` out.
package struct Linear: @unchecked Sendable {
    enum Rows {
        case int8(WeightRows)
        case fourBit(FourBitRows)
        case ternary(TernaryRows)
    }

    let rows: Rows
    let inputs: Int
    let outputs: Int
    /// Rows are inputs (neurons) instead of outputs, so that inputs can be skipped.
    let isNeuronMajor: Bool
    let bytes: Int

    package init(_ matrix: Matrix, bias: UnsafePointer<Float>?, isNeuronMajor: Bool, exceedsCache: Bool = false) {
        rows = .int8(
            WeightRows(
                weights: matrix.weights, stride: matrix.stride, scales: matrix.scales, bias: bias,
                exceedsCache: exceedsCache))
        self.isNeuronMajor = isNeuronMajor
        outputs = isNeuronMajor ? matrix.cols : matrix.rows
        inputs = isNeuronMajor ? matrix.rows : matrix.cols
        bytes = matrix.rows * matrix.stride + 4 * outputs
    }

    init(_ matrix: FourBitMatrix, bias: UnsafePointer<Float>?) {
        let fourBit = FourBitRows(blocks: matrix.blocks, groups: matrix.groups, bias: bias)
        rows = .fourBit(fourBit)
        isNeuronMajor = false
        outputs = matrix.rows
        inputs = matrix.cols
        bytes = FourBitMatrix.blocks(forRows: matrix.rows) * fourBit.blockBytes
    }

    init(_ matrix: TernaryMatrix, bias: UnsafePointer<Float>?) {
        rows = .ternary(
            TernaryRows(weights: matrix.weights, stride: matrix.stride, scales: matrix.scales, bias: bias))
        isNeuronMajor = false
        outputs = matrix.rows
        inputs = matrix.cols
        bytes = matrix.rows * (matrix.stride + 4)
    }

    /// The rows of a map that is known to have int8 weights, as neuron-major ones do.
    var int8: WeightRows {
        guard case .int8(let weights) = rows else { preconditionFailure("packed weights are not neuron-major") }
        return weights
    }

    var isFourBit: Bool {
        if case .fourBit = rows { true } else { false }
    }

    /// Bytes that a row takes, about.
    package var rowBytes: Int { bytes / (isNeuronMajor ? inputs : outputs) }
}

extension Linear {
    /// A stored row as floats: an output's weights, or an input's if the map is neuron-major.
    package func decode(row: Int, into weights: inout [Float]) {
        switch rows {
        case .int8(let rows):
            let q = rows.weights + row * rows.stride
            for i in weights.indices { weights[i] = Float(q[i]) * rows.scales[isNeuronMajor ? i : row] }
        case .fourBit(let rows):
            Kernels.available[0].fourBit.expandRow(rows, row, weights.count, &weights)
        case .ternary(let rows):
            for i in weights.indices { weights[i] = Float(rows.weight(row, i)) * rows.scales[row] }
        }
    }

    /// All weights as floats, `[outputs, inputs]` however they are stored.
    package var expanded: [Float] {
        var weights = [Float](repeating: 0, count: outputs * inputs)
        var row = [Float](repeating: 0, count: isNeuronMajor ? outputs : inputs)
        for r in 0..<(isNeuronMajor ? inputs : outputs) {
            decode(row: r, into: &row)
            for i in row.indices { weights[isNeuronMajor ? i * inputs + r : r * inputs + i] = row[i] }
        }
        return weights
    }

    /// The squared norm of what each input is multiplied with.
    package var inputEnergies: [Float] {
        var sums = [Float](repeating: 0, count: inputs)
        var row = [Float](repeating: 0, count: isNeuronMajor ? outputs : inputs)
        for r in 0..<(isNeuronMajor ? inputs : outputs) {
            decode(row: r, into: &row)
            if isNeuronMajor {
                sums[r] = row.reduce(0) { $0 + $1 * $1 }
            } else {
                for i in row.indices { sums[i] += row[i] * row[i] }
            }
        }
        return sums
    }
}
