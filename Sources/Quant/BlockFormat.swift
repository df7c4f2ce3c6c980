// SPDX-License-Identifier: Apache-2.0

/// A way of storing a run of weights, numbered as in GGUF files (`ggml_type`).
///
/// Every format packs `blockLength` weights into `blockBytes` bytes; a row is a
/// whole number of blocks.
/// Source: the GGUF specification and `ggml-common.h` of ggml; for I2_S, which only
/// bitnet.cpp writes, `ggml-bitnet-mad.cpp` of that.
package enum BlockFormat: UInt32, Sendable, CaseIterable {
    case f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8
    case q2K = 10, q3K = 11, q4K = 12, q5K = 13, q6K = 14
    case iq4NL = 20, iq4XS = 23
    /// Plain signed bytes: quantized weights without their scales.
    case i8 = 24
    case bf16 = 30
    case tq1_0 = 34, tq2_0 = 35
    /// In ggml this was the number of IQ4_NL_4_4, an order of weights in memory that it dropped.
    case i2S = 36
    case mxfp4 = 39

    /// The name the GGUF world uses, the weights in a block, and its bytes.
    private var layout: (name: String, length: Int, bytes: Int) {
        switch self {
        case .f32: ("F32", 1, 4)
        case .f16: ("F16", 1, 2)
        case .bf16: ("BF16", 1, 2)
        case .i8: ("I8", 1, 1)
        case .q4_0: ("Q4_0", 32, 18)  // half d, 16 bytes of nibbles
        case .q4_1: ("Q4_1", 32, 20)  // half d, half m, 16 bytes of nibbles
        case .q5_0: ("Q5_0", 32, 22)  // half d, 4 bytes of fifth bits, 16 of nibbles
        case .q5_1: ("Q5_1", 32, 24)  // half d, half m, 4 bytes of fifth bits, 16 of nibbles
        case .q8_0: ("Q8_0", 32, 34)  // half d, 32 signed bytes
        case .q2K: ("Q2_K", 256, 84)  // 16 scales with minima, 64 bytes of bit pairs, half d, half dmin
        case .q3K: ("Q3_K", 256, 110)  // 32 bytes of third bits, 64 of bit pairs, 12 of 6-bit scales, half d
        case .q4K: ("Q4_K", 256, 144)  // half d, half dmin, 12 bytes of 6-bit scales, 128 of nibbles
        case .q5K: ("Q5_K", 256, 176)  // as q4K with 32 bytes of fifth bits before the nibbles
        case .q6K: ("Q6_K", 256, 210)  // 128 low nibbles, 64 high pairs, 16 scales, half d
        case .iq4NL: ("IQ4_NL", 32, 18)  // half d, 16 bytes of nibbles
        case .iq4XS: ("IQ4_XS", 256, 136)  // half d, 2 + 4 bytes of 6-bit scales, 128 of nibbles
        case .tq1_0: ("TQ1_0", 256, 54)  // 48 bytes of five digits to base 3, 4 bytes of four, half d
        case .tq2_0: ("TQ2_0", 256, 66)  // 64 bytes of bit pairs, half d
        case .i2S: ("I2_S", 128, 32)  // bit pairs
        case .mxfp4: ("MXFP4", 32, 17)  // exponent, 16 bytes of nibbles
        }
    }

    /// Weights in a block.
    package var blockLength: Int { layout.length }

    /// Bytes in a block.
    package var blockBytes: Int { layout.bytes }

    /// The name the GGUF world uses.
    package var name: String { layout.name }

    /// Bytes after the last block of a tensor: the float that scales all weights of an I2_S tensor, and padding.
    package var tailBytes: Int { self == .i2S ? 32 : 0 }

    /// The name of a type by its number in GGUF files, also of types that cannot be read.
    package static func name(ofType number: UInt32) -> String {
        if let format = BlockFormat(rawValue: number) { return format.name }
        return switch number {
        case 9: "Q8_1"
        case 15: "Q8_K"
        case 16: "IQ2_XXS"
        case 17: "IQ2_XS"
        case 18: "IQ3_XXS"
        case 19: "IQ1_S"
        case 21: "IQ3_S"
        case 22: "IQ2_S"
        case 25: "I16"
        case 26: "I32"
        case 27: "I64"
        case 28: "F64"
        case 29: "IQ1_M"
        case 31: "Q4_0_4_4"
        case 32: "Q4_0_4_8"
        case 33: "Q4_0_8_8"
        case 40: "NVFP4"
        case 41: "Q1_0"
        case 42: "Q2_0"
        default: "type \(number)"
        }
    }

    /// Bytes of the blocks of `count` weights, or nil if `count` is negative, no whole number
    /// of blocks, or the product does not fit an `Int`.
    package func byteCount(of count: Int) -> Int? {
        guard count >= 0, count % blockLength == 0 else { return nil }
        let (bytes, overflow) = (count / blockLength).multipliedReportingOverflow(by: blockBytes)
        return overflow ? nil : bytes
    }

    /// Bytes of a tensor of `count` weights, its tail included; nil as for `byteCount(of:)`.
    package func byteCount(ofTensor count: Int) -> Int? {
        guard let blocks = byteCount(of: count) else { return nil }
        let (bytes, overflow) = blocks.addingReportingOverflow(tailBytes)
        return overflow ? nil : bytes
    }
}
