// SPDX-License-Identifier: Apache-2.0

// Compiled once in every instruction set's target: fills the table with that target's functions.

import KernelTable

/// This instruction set's kernels. Only to be called on a CPU that has the set. (Its body stays here: compiled
/// into a caller, it would meet that caller's flags.)
@export(interface)
package func kernels() -> KernelTable {
    KernelTable(
        name: setName, rowDots: rowDots, neuronSums: neuronSums,
        neuronGroups: neuronGroups, groupSums: groupSums, sparseNeuronSums: sparseNeuronSums,
        tileRows: tileRows, tileTokens: tileTokens, packRows: packRows, packColumns: packColumns,
        tileDots: tileDots, quantize: quantize,
        expandRow: expandRow, add: add, rmsNorm: rmsNorm, layerNorm: layerNorm, rope: rope,
        indicesAtLeast: indicesAtLeast, relu: relu, silu: silu, gelu: gelu, geluErf: geluErf,
        fatRelu: fatRelu, softCap: softCap, largest: largest, sigmoid: sigmoid, floatDots: floatDots,
        multiply: multiply, toHalf: toHalf,
        attentionScores: attentionScores, softmaxWeights: softmaxWeights,
        weightedValues: weightedValues, toBytes: toBytes, byteScores: byteScores, byteValues: byteValues,
        fourBit: FourBitKernels(
            halfSums: halfSums, rowDots: fourBitDots, tileBlocks: tileBlocks, tileTokens: blockTileTokens,
            packRows: packBlocks, tileDots: blockTileDots, expandRow: expandFourBitRow),
        ternary: TernaryKernels(rowDots: ternaryDots, unpackRows: unpackTernaryRows),
        limits: LimitProbes(
            readBytes: readBytes, multiplyAdds: multiplyAdds, multiplyAddsPerTurn: multiplyAddsPerTurn))
}
