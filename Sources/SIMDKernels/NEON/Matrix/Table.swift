// SPDX-License-Identifier: Apache-2.0

#if arch(arm64) && KERNELS_ARM
import KernelTable

/// The kernels of `neondot`, but for the tiles that multiply many tokens. Only to be called on a CPU that has `smmla`. (Its
/// body stays here: compiled into a caller, it would meet that caller's flags.)
@export(interface)
package func kernels(over base: KernelTable) -> KernelTable {
    KernelTable(
        name: "i8mm", rowDots: base.rowDots, neuronSums: base.neuronSums,
        neuronGroups: base.neuronGroups, groupSums: base.groupSums, sparseNeuronSums: base.sparseNeuronSums,
        tileRows: tileRows, tileTokens: base.tileTokens, packRows: packRows, packColumns: packColumns,
        tileDots: tileDots, quantize: base.quantize,
        expandRow: base.expandRow, add: base.add, rmsNorm: base.rmsNorm, layerNorm: base.layerNorm, rope: base.rope,
        indicesAtLeast: base.indicesAtLeast, relu: base.relu, silu: base.silu, gelu: base.gelu, geluErf: base.geluErf,
        fatRelu: base.fatRelu, softCap: base.softCap, largest: base.largest, sigmoid: base.sigmoid,
        floatDots: base.floatDots, multiply: base.multiply, toHalf: base.toHalf,
        attentionScores: base.attentionScores, softmaxWeights: base.softmaxWeights,
        weightedValues: base.weightedValues, toBytes: base.toBytes, byteScores: base.byteScores,
        byteValues: base.byteValues,
        fourBit: FourBitKernels(
            halfSums: base.fourBit.halfSums, rowDots: base.fourBit.rowDots, tileBlocks: tileBlocks,
            tileTokens: base.fourBit.tileTokens, packRows: packBlocks, tileDots: blockTileDots,
            expandRow: base.fourBit.expandRow),
        ternary: base.ternary,
        limits: LimitProbes(
            readBytes: base.limits.readBytes, multiplyAdds: multiplyAdds, multiplyAddsPerTurn: multiplyAddsPerTurn))
}
#endif
