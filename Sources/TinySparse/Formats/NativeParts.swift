import Quant

/// A piece of a native file: a vector, a table, or a matrix with its scales.
///
/// The order of the parts is the order of the tensors in the file.
package struct NativePart: Equatable {
    package enum Shape: Equatable {
        /// Floats, one tensor called `name`.
        case vector(count: Int)
        /// Rows of floats, one tensor called `name`.
        case table(rows: Int, cols: Int)
        /// int8 rows, one an output, in `name.weight`, and in `name.scale` one float a row.
        case matrix(rows: Int, cols: Int)
        /// 4-bit rows with their scales, sixteen to a block, in `name.weight`, as bytes: see `FourBitKernels`.
        case fourBit(rows: Int, cols: Int)
        /// int8 columns of the matrix as rows, one an input, in `name.weight`,
        /// and in `name.scale` one float an output.
        case neuronMajor(outputs: Int, inputs: Int)
    }

    package let name: String
    package let shape: Shape

    /// The tensor of a source model this part is made of, named as in GGUF files.
    package var sourceName: String { isMatrix ? name + ".weight" : name }

    /// Shape of that tensor, outermost dimension first.
    package var sourceShape: [Int] {
        switch shape {
        case .vector(let count): [count]
        case .table(let rows, let cols), .matrix(let rows, let cols),
            .fourBit(let rows, let cols), .neuronMajor(let rows, let cols):
            [rows, cols]
        }
    }

    package var isMatrix: Bool {
        switch shape {
        case .vector, .table: false
        case .matrix, .fourBit, .neuronMajor: true
        }
    }

    package var isFourBit: Bool {
        if case .fourBit = shape { true } else { false }
    }

    /// A transposed `attn_output`, under a name of its own: the matrix is square in most models, and mistaken for the
    /// other it would be wrong without a word.
    package static let outputByHead = "attn_output_t"

    var isNeuronMajor: Bool {
        if case .neuronMajor = shape { true } else { false }
    }

    /// The tensors of the native file, dimensions as in GGUF: contiguous first.
    package var tensors: [(name: String, format: BlockFormat, dimensions: [Int])] {
        switch shape {
        case .vector(let count): [(name, .f32, [count])]
        case .table(let rows, let cols): [(name, .f32, [cols, rows])]
        case .matrix(let rows, let cols):
            [
                (name + ".weight", .i8, [Matrix.stride(forColumns: cols), rows]),
                (name + ".scale", .f32, [rows]),
            ]
        case .fourBit(let rows, let cols):
            [
                (
                    name + ".weight", .i8,
                    [FourBitMatrix.blockBytes(forColumns: cols), FourBitMatrix.blocks(forRows: rows)]
                )
            ]
        case .neuronMajor(let outputs, let inputs):
            [
                (name + ".weight", .i8, [Matrix.stride(forColumns: outputs), inputs]),
                (name + ".scale", .f32, [outputs]),
            ]
        }
    }
}

extension ModelConfig {
    /// Whether a layer's output matrix lies transposed, so that what skipped heads would multiply is not read.
    package func isOutputByHead(_ layer: Int) -> Bool {
        predictors.hasHeads(layer) && canLieByHead(layer)
    }

    /// Blocks of 4-bit weights hold sixteen rows together: none of them is to be had for less.
    package func canLieByHead(_ layer: Int) -> Bool { !fourBit.contains("blk.\(layer).attn_output") }

    /// Everything a native file of this model holds. O(layers).
    package var nativeParts: [NativePart] {
        var parts: [NativePart] = []
        func matrix(_ name: String, rows: Int, cols: Int) {
            let isFourBit = fourBit.contains(name)
            parts.append(
                NativePart(
                    name: name,
                    shape: isFourBit ? .fourBit(rows: rows, cols: cols) : .matrix(rows: rows, cols: cols)))
        }
        func vector(_ name: String, _ count: Int) {
            parts.append(NativePart(name: name, shape: .vector(count: count)))
        }
        func norm(_ name: String) {
            vector(name + ".weight", dModel)
            if normKind == .layer { vector(name + ".bias", dModel) }
        }
        func layerMatrix(_ name: String, rows: Int, cols: Int) {
            matrix(name, rows: rows, cols: cols)
            if hasBiases { vector(name + ".bias", rows) }
        }

        func predictor(_ name: String, rank: [Int], of outputs: Int, _ layer: Int) {
            guard !rank.isEmpty, rank[layer] > 0 else { return }
            matrix(name + "_a", rows: rank[layer], cols: dModel)
            parts.append(NativePart(name: name + "_b", shape: .neuronMajor(outputs: outputs, inputs: rank[layer])))
            vector(name + "_b.bias", outputs)
        }

        matrix("token_embd", rows: vocabularySize, cols: dModel)
        if case .learned = positions {
            let shape = NativePart.Shape.table(rows: contextLength, cols: dModel)
            parts.append(NativePart(name: "position_embd.weight", shape: shape))
        }
        for layer in 0..<nLayers {
            let prefix = "blk.\(layer)."
            norm(prefix + "attn_norm")
            layerMatrix(prefix + "attn_q", rows: dQuery, cols: dModel)
            layerMatrix(prefix + "attn_k", rows: dKV, cols: dModel)
            layerMatrix(prefix + "attn_v", rows: dKV, cols: dModel)
            if isOutputByHead(layer) {
                parts.append(NativePart(
                    name: prefix + NativePart.outputByHead, shape: .neuronMajor(outputs: dModel, inputs: dQuery)))
                if hasBiases { vector(prefix + "attn_output.bias", dModel) }
            } else {
                layerMatrix(prefix + "attn_output", rows: dModel, cols: dQuery)
            }
            norm(prefix + "ffn_norm")
            layerMatrix(prefix + "ffn_up", rows: dFF, cols: dModel)
            if gated { layerMatrix(prefix + "ffn_gate", rows: dFF, cols: dModel) }
            let down = prefix + "ffn_down"
            if fourBit.contains(down) {
                matrix(down, rows: dModel, cols: dFF)
            } else {
                parts.append(NativePart(name: down, shape: .neuronMajor(outputs: dModel, inputs: dFF)))
            }
            if hasBiases { vector(down + ".bias", dModel) }
            predictor(prefix + "ffn_predictor", rank: predictors.neuronRanks, of: dFF / predictors.neuronGroup, layer)
            if predictors.isGateChosen(layer) { vector(prefix + "ffn_gate_reach", dFF) }
            predictor(prefix + "attn_predictor", rank: predictors.headRanks, of: nHeads, layer)
        }
        norm("output_norm")
        if !tiedHead { matrix("output", rows: vocabularySize, cols: dModel) }
        if let screen = predictors.screen {
            matrix("output_screen_a", rows: screen.rank, cols: dModel)
            matrix("output_screen_b", rows: vocabularySize, cols: screen.rank)
        }
        return parts
    }
}
