// SPDX-License-Identifier: Apache-2.0

import Quant
import TinySupport

/// How the matrices of layers are coded, beyond the type of their numbers.
enum WeightCoding {
    case plain
    /// As numbers that the model rounds to -s, 0 and s when it is loaded, s being the mean magnitude of a matrix.
    case ternarized
    /// Four rows in one of bytes, two bits each: row r of n holds rows r, r + n, r + 2n and r + 3n, lowest bits first, plus
    /// one. The scale is in a tensor of its own, of which the values are multiples, or fractions.
    case packedTernary(isInverse: Bool)

    var isPacked: Bool { if case .packedTernary = self { true } else { false } }
}

extension WeightCoding {
    /// The weights of a matrix, `[rows, cols]`.
    /// - Parameter scale: that of a packed matrix.
    func decode(_ tensor: SourceTensor, rows: Int, cols: Int, scale: Float, into out: UnsafeMutablePointer<Float>) {
        switch self {
        case .plain: decodeRow(tensor.format!, from: tensor.bytes.baseAddress!, count: rows * cols, into: out)
        case .ternarized:
            decodeRow(tensor.format!, from: tensor.bytes.baseAddress!, count: rows * cols, into: out)
            ternarize(out, rows * cols)
        case .packedTernary(let isInverse):
            let unit = isInverse ? 1 / scale : scale, packedRows = rows / 4
            for r in 0..<rows {
                let from = r % packedRows * cols, shift = 2 * (r / packedRows)
                for c in 0..<cols { out[r * cols + c] = Float(Int(tensor.bytes[from + c]) >> shift & 3) * unit - unit }
            }
        }
    }

    /// Source: Transformers, `integrations/bitnet.py`, `weight_quant`.
    private func ternarize(_ weights: UnsafeMutablePointer<Float>, _ count: Int) {
        var sum = 0.0
        for i in 0..<count { sum += Double(weights[i].magnitude) }
        let scale = max(Float(sum / Double(count)), 1e-5)
        for i in 0..<count {
            let level = (weights[i] / scale).rounded(.toNearestOrEven)
            weights[i] = max(min(level, 1), -1) * scale
        }
    }
}

extension ConfigFields {
    /// The coding that `quantization_config` describes, if that is BitNet's.
    /// - Throws: `FormatError` for another method.
    func bitNetCoding() throws(FormatError) -> WeightCoding {
        guard let fields = try object("quantization_config") else { return .plain }
        let method = try fields.string("quant_method")
        guard method == "bitnet" else {
            throw fields.unsupported("quant_method", "\"\(printable(method))\" is not supported, only bitnet")
        }
        guard try !fields.bool("use_rms_norm") else {
            throw fields.unsupported("use_rms_norm", "true is not supported")
        }
        let linear = try fields.optionalString("linear_class") ?? "bitlinear"
        let mode = try fields.optionalString("quantization_mode") ?? "offline"
        switch (linear, mode) {
        case ("autobitlinear", "online"): return .ternarized
        case ("autobitlinear", "offline"): return .packedTernary(isInverse: false)
        case ("bitlinear", "offline"): return .packedTernary(isInverse: true)
        default:
            throw fields.unsupported(
                "linear_class", "\"\(printable(linear))\" with \"\(printable(mode))\" is not supported")
        }
    }
}
