import Quant
import SIMDKernels

/// The weights of a model in the order in which a forward pass uses them: architectures are data, and
/// this is that data.
struct Weights: Sendable {
    struct Norm: @unchecked Sendable {
        let weight: UnsafePointer<Float>
        /// Layer norms have one, RMS norms have none.
        let bias: UnsafePointer<Float>?
    }

    struct Layer: Sendable {
        let attentionNorm: Norm
        let query, key, value, output: Linear
        let mlpNorm: Norm
        let up: Linear
        /// nil if the MLP is not gated.
        let gate: Linear?
        let down: Linear
        /// What names this layer's active neurons and heads; nil if the file has none.
        let neuronPredictor, headPredictor: Predictor?

        var matrices: [Linear] { [query, key, value, output, up, gate, down].compactMap { $0 } }
    }

    let embedding: Linear
    /// [contextLength, dModel]; nil for rotary positions.
    let positions: Floats?
    let layers: [Layer]
    let outputNorm: Norm
    let head: Linear
    /// Neurons are predicted from the norm before the attention of their layer, not from that before the MLP.
    let predictsAhead: Bool

    init(_ file: NativeModelFile) throws(FormatError) {
        let config = file.config
        let predictors = config.predictors
        func norm(_ name: String) throws(FormatError) -> Norm {
            let bias = config.normKind == .layer ? try file.vector(name + ".bias").baseAddress : nil
            return Norm(weight: try file.vector(name + ".weight").baseAddress!, bias: bias)
        }
        func linear(_ name: String, neuronMajor: Bool = false, bias: Bool = config.hasBiases) throws(FormatError) -> Linear {
            let vector = bias ? try file.vector(name + ".bias").baseAddress : nil
            return Linear(try file.matrix(name), bias: vector, isNeuronMajor: neuronMajor)
        }
        func predictor(_ name: String, _ i: Int, _ ranks: [Int], _ thresholds: [Float]) throws(FormatError) -> Predictor? {
            guard !ranks.isEmpty, ranks[i] > 0 else { return nil }
            return Predictor(
                reduce: try linear(name + "_a", bias: false), expand: try linear(name + "_b", bias: true),
                threshold: thresholds[i])
        }
        embedding = try linear("token_embd", bias: false)
        if case .learned = config.positions {
            positions = Floats(pointer: try file.vector("position_embd.weight").baseAddress!)
        } else {
            positions = nil
        }
        layers = try (0..<config.nLayers).map { i throws(FormatError) in
            let blk = "blk.\(i)."
            return Layer(
                attentionNorm: try norm(blk + "attn_norm"),
                query: try linear(blk + "attn_q"), key: try linear(blk + "attn_k"),
                value: try linear(blk + "attn_v"), output: try linear(blk + "attn_output"),
                mlpNorm: try norm(blk + "ffn_norm"), up: try linear(blk + "ffn_up"),
                gate: config.gated ? try linear(blk + "ffn_gate") : nil,
                down: try linear(blk + "ffn_down", neuronMajor: true),
                neuronPredictor: try predictor(
                    blk + "ffn_predictor", i, predictors.neuronRanks, predictors.neuronThresholds),
                headPredictor: try predictor(
                    blk + "attn_predictor", i, predictors.headRanks, predictors.headThresholds))
        }
        outputNorm = try norm("output_norm")
        head = try linear("output", bias: false)
        predictsAhead = predictors.lookahead
    }
}

/// Read-only floats in the model file.
struct Floats: @unchecked Sendable {
    let pointer: UnsafePointer<Float>
}

/// A small network that names what a layer will need: see docs/NUMERICS.md, 10.
struct Predictor: Sendable {
    /// d_model to rank.
    let reduce: Linear
    /// Rank to neurons or heads, with a bias.
    let expand: Linear
    /// A score at least this high makes a neuron or head active.
    let threshold: Float

    var rank: Int { reduce.outputs }
}

/// A linear map: `inputs` numbers in, `outputs` out.
struct Linear: @unchecked Sendable {
    let rows: WeightRows
    let inputs: Int
    let outputs: Int
    /// Rows are inputs (neurons) instead of outputs, so that inputs can be skipped.
    let isNeuronMajor: Bool
    let bytes: Int

    init(_ matrix: Matrix, bias: UnsafePointer<Float>?, isNeuronMajor: Bool) {
        rows = WeightRows(weights: matrix.weights, stride: matrix.stride, scales: matrix.scales, bias: bias)
        self.isNeuronMajor = isNeuronMajor
        outputs = isNeuronMajor ? matrix.cols : matrix.rows
        inputs = isNeuronMajor ? matrix.rows : matrix.cols
        bytes = matrix.rows * matrix.stride + 4 * outputs
    }
}

extension Linear {
    /// Of a neuron-major map, the squared norm of each neuron's row.
    var rowEnergies: [Float] {
        (0..<inputs).map { neuron in
            let row = rows.weights + neuron * rows.stride
            var sum: Float = 0
            for c in 0..<outputs {
                let w = Float(row[c]) * rows.scales[c]
                sum += w * w
            }
            return sum
        }
    }
}
