// SPDX-License-Identifier: Apache-2.0

/// A way of storing a run of weights, numbered as in GGUF files (`ggml_type`).
///
/// Every format packs `blockLength` weights into `blockBytes` bytes; a row is a
/// whole number of blocks.
/// Source: the GGUF specification and `ggml-common.h` of ggml.
package enum BlockFormat: UInt32, Sendable, CaseIterable {
    case f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q8_0 = 8
    case q4K = 12, q5K = 13, q6K = 14
    /// Plain signed bytes: quantized weights without their scales.
    case i8 = 24
    case bf16 = 30

    /// Weights in a block.
    package var blockLength: Int {
        switch self {
        case .f32, .f16, .bf16, .i8: 1
        case .q4_0, .q4_1, .q8_0: 32
        case .q4K, .q5K, .q6K: 256
        }
    }

    /// Bytes in a block.
    package var blockBytes: Int {
        switch self {
        case .f32: 4
        case .f16, .bf16: 2
        case .i8: 1
        case .q4_0: 18  // half d, 16 bytes of nibbles
        case .q4_1: 20  // half d, half m, 16 bytes of nibbles
        case .q8_0: 34  // half d, 32 signed bytes
        case .q4K: 144  // half d, half dmin, 12 bytes of 6-bit scales, 128 of nibbles
        case .q5K: 176  // as q4K with 32 bytes of fifth bits before the nibbles
        case .q6K: 210  // 128 low nibbles, 64 high pairs, 16 scales, half d
        }
    }

    /// The name the GGUF world uses.
    package var name: String {
        switch self {
        case .f32: "F32"
        case .f16: "F16"
        case .bf16: "BF16"
        case .i8: "I8"
        case .q4_0: "Q4_0"
        case .q4_1: "Q4_1"
        case .q8_0: "Q8_0"
        case .q4K: "Q4_K"
        case .q5K: "Q5_K"
        case .q6K: "Q6_K"
        }
    }

    /// The name of a type by its number in GGUF files, also of types that cannot be read.
    package static func name(ofType number: UInt32) -> String {
        if let format = BlockFormat(rawValue: number) { return format.name }
        return switch number {
        case 6: "Q5_0"
        case 7: "Q5_1"
        case 9: "Q8_1"
        case 10: "Q2_K"
        case 11: "Q3_K"
        case 15: "Q8_K"
        case 16: "IQ2_XXS"
        case 17: "IQ2_XS"
        case 18: "IQ3_XXS"
        case 19: "IQ1_S"
        case 20: "IQ4_NL"
        case 21: "IQ3_S"
        case 22: "IQ2_S"
        case 23: "IQ4_XS"
        case 25: "I16"
        case 26: "I32"
        case 27: "I64"
        case 28: "F64"
        case 29: "IQ1_M"
        case 34: "TQ1_0"
        case 35: "TQ2_0"
        case 39: "MXFP4"
        case 40: "NVFP4"
        default: "type \(number)"
        }
    }

    /// Bytes of `count` weights, or nil if `count` is negative, no whole number
    /// of blocks, or the product does not fit an `Int`.
    package func byteCount(of count: Int) -> Int? {
        guard count >= 0, count % blockLength == 0 else { return nil }
        let (bytes, overflow) = (count / blockLength).multipliedReportingOverflow(by: blockBytes)
        return overflow ? nil : bytes
    }
}
