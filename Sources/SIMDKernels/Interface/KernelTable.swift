// SPDX-License-Identifier: Apache-2.0

/// The kernels of one instruction set, as a table of functions.
///
/// Every set fills the whole table and obeys docs/NUMERICS.md, so the sets differ in speed and in
/// nothing else. Kernels know nothing of models: they see rows of bytes, groups and scales.
/// Lengths are in elements, strides in bytes for int8 rows and in elements otherwise. Nothing is
/// checked here; the callers own the sizes. Weight rows are padded with zeros to whole groups of 64.
package final class KernelTable: Sendable {
    /// One of `Kernels.names`.
    package let name: String
    package let rowDots: RowDots
    package let neuronSums: NeuronSums
    package let neuronGroups: NeuronGroups
    package let groupSums: GroupSums
    package let sparseNeuronSums: SparseNeuronSums
    package let tileRows: Int
    /// From how many tokens on tiles are faster than `rowDots`.
    package let tileTokens: Int
    package let packRows: PackRows
    package let packColumns: PackColumns
    package let tileDots: TileDots
    package let quantize: Quantize
    package let expandRow: ExpandRow
    package let add: Combine
    package let rmsNorm: RMSNorm
    package let layerNorm: LayerNorm
    package let rope: Rope
    package let indicesAtLeast: IndicesAtLeast
    package let relu: Activate
    package let silu: Activate
    package let gelu: Activate
    package let geluErf: Activate
    package let fatRelu: FatRelu
    package let softCap: SoftCap
    package let largest: Largest
    package let sigmoid: Activate
    package let floatDots: FloatDots
    package let multiply: Combine
    package let toHalf: ToHalf
    package let attentionScores: AttentionScores
    package let softmaxWeights: SoftmaxWeights
    package let weightedValues: WeightedValues
    package let toBytes: ToBytes
    package let byteScores: ByteScores
    package let byteValues: ByteValues
    package let fourBit: FourBitKernels
    package let ternary: TernaryKernels
    package let limits: LimitProbes

    package init(
        name: String, rowDots: @escaping RowDots, neuronSums: @escaping NeuronSums,
        neuronGroups: @escaping NeuronGroups, groupSums: @escaping GroupSums,
        sparseNeuronSums: @escaping SparseNeuronSums, tileRows: Int, tileTokens: Int,
        packRows: @escaping PackRows, packColumns: @escaping PackColumns, tileDots: @escaping TileDots,
        quantize: @escaping Quantize, expandRow: @escaping ExpandRow, add: @escaping Combine,
        rmsNorm: @escaping RMSNorm, layerNorm: @escaping LayerNorm, rope: @escaping Rope,
        indicesAtLeast: @escaping IndicesAtLeast, relu: @escaping Activate, silu: @escaping Activate,
        gelu: @escaping Activate, geluErf: @escaping Activate, fatRelu: @escaping FatRelu,
        softCap: @escaping SoftCap, largest: @escaping Largest, sigmoid: @escaping Activate,
        floatDots: @escaping FloatDots,
        multiply: @escaping Combine, toHalf: @escaping ToHalf,
        attentionScores: @escaping AttentionScores, softmaxWeights: @escaping SoftmaxWeights,
        weightedValues: @escaping WeightedValues, toBytes: @escaping ToBytes,
        byteScores: @escaping ByteScores, byteValues: @escaping ByteValues,
        fourBit: FourBitKernels, ternary: TernaryKernels, limits: LimitProbes
    ) {
        self.name = name
        self.rowDots = rowDots
        self.neuronSums = neuronSums
        self.neuronGroups = neuronGroups
        self.groupSums = groupSums
        self.sparseNeuronSums = sparseNeuronSums
        self.tileRows = tileRows
        self.tileTokens = tileTokens
        self.packRows = packRows
        self.packColumns = packColumns
        self.tileDots = tileDots
        self.quantize = quantize
        self.expandRow = expandRow
        self.add = add
        self.rmsNorm = rmsNorm
        self.layerNorm = layerNorm
        self.rope = rope
        self.indicesAtLeast = indicesAtLeast
        self.relu = relu
        self.silu = silu
        self.gelu = gelu
        self.geluErf = geluErf
        self.fatRelu = fatRelu
        self.softCap = softCap
        self.largest = largest
        self.sigmoid = sigmoid
        self.floatDots = floatDots
        self.multiply = multiply
        self.toHalf = toHalf
        self.attentionScores = attentionScores
        self.softmaxWeights = softmaxWeights
        self.weightedValues = weightedValues
        self.toBytes = toBytes
        self.byteScores = byteScores
        self.byteValues = byteValues
        self.fourBit = fourBit
        self.ternary = ternary
        self.limits = limits
    }
}

/// Elements in a group of activations: one scale each.
@inlinable @inline(__always)
package var groupSize: Int { 64 }

/// int8 weights with one scale per output, as the kernels see them.
package struct WeightRows {
    package var weights: UnsafePointer<Int8>
    /// Bytes from one row to the next, a multiple of 64.
    package var stride: Int
    package var scales: UnsafePointer<Float>
    package var bias: UnsafePointer<Float>?
    /// The model does not fit the cache, so that its rows come from memory: prefetching them pays, where for a model
    /// that fits it costs a fifth. Gathered rows are always prefetched.
    package var exceedsCache: Bool

    @inlinable @inline(__always)
    package init(
        weights: UnsafePointer<Int8>, stride: Int, scales: UnsafePointer<Float>,
        bias: UnsafePointer<Float>? = nil, exceedsCache: Bool = false
    ) {
        self.weights = weights
        self.stride = stride
        self.scales = scales
        self.bias = bias
        self.exceedsCache = exceedsCache
    }
}

/// Quantized activations of one token, or of several at fixed distances (`groups * 64` bytes and
/// `groups` scales and sums from one token to the next).
package struct QuantizedRows {
    /// Bytes, `groups * 64` per token.
    package var values: UnsafePointer<Int8>
    /// One scale per group.
    package var scales: UnsafePointer<Float>
    /// 128 times the sum of a group's values: what unsigned-by-signed dot products must take off.
    package var sums: UnsafePointer<Int32>
    package var groups: Int

    @inlinable @inline(__always)
    package init(
        values: UnsafePointer<Int8>, scales: UnsafePointer<Float>, sums: UnsafePointer<Int32>, groups: Int
    ) {
        self.values = values
        self.scales = scales
        self.sums = sums
        self.groups = groups
    }

    /// One token's row.
    @inlinable @inline(__always)
    package func row(_ t: Int) -> QuantizedRows {
        QuantizedRows(
            values: values + t * groups * groupSize, scales: scales + t * groups, sums: sums + t * groups,
            groups: groups)
    }

    /// One token's groups from `first` on, for `count` values.
    @inlinable @inline(__always)
    package func groups(from first: Int, count: Int) -> QuantizedRows {
        QuantizedRows(
            values: values + first * groupSize, scales: scales + first, sums: sums + first,
            groups: (count + groupSize - 1) / groupSize)
    }
}

/// `out[t * outStride + i] = dot(row r_i, x[t])` for `i < count` and `tokens` tokens, where `r_i` is `rows[i]`, or
/// `first + i` without a list. A row is read from memory once for all tokens.
package typealias RowDots =
    @Sendable (
        _ w: WeightRows, _ rows: UnsafePointer<Int32>?, _ first: Int, _ count: Int, _ x: QuantizedRows, _ tokens: Int,
        _ out: UnsafeMutablePointer<Float>, _ outStride: Int
    ) -> Void

/// `out[t * outStride + c] = sum over the active neurons of x[t] * W[neuron][c]`, for the first `count` columns and
/// `tokens` tokens, neuron `i` being `neurons[i]`, or `i` without a list. A row is read from memory once for all tokens.
/// `scratch` takes 8 bytes per column and token, the columns rounded up to 64.
package typealias NeuronSums =
    @Sendable (
        _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ count: Int,
        _ x: QuantizedRows, _ tokens: Int, _ scratch: UnsafeMutableRawPointer, _ out: UnsafeMutablePointer<Float>,
        _ outStride: Int
    ) -> Void

/// The first step of `NeuronSums` alone and for one token, so that groups of neurons can be split among threads:
/// `contributions[g]` is what group g adds, in the kernel set's own order of columns, the columns rounded
/// up to 64. `scratch` takes 4 bytes per column.
package typealias NeuronGroups =
    @Sendable (
        _ w: WeightRows, _ neurons: UnsafePointer<Int32>?, _ neuronCount: Int, _ count: Int,
        _ x: QuantizedRows, _ scratch: UnsafeMutableRawPointer, _ contributions: UnsafeMutablePointer<Float>
    ) -> Void

/// The second step: adds the contributions of all groups in their order, then scales and biases.
/// Overwrites the contributions.
package typealias GroupSums =
    @Sendable (
        _ w: WeightRows, _ contributions: UnsafeMutablePointer<Float>, _ groups: Int, _ count: Int,
        _ out: UnsafeMutablePointer<Float>
    ) -> Void

/// `NeuronSums` of one token whose groups have any number of neurons, at most 64: those of group g are the first
/// `sizes[g]` from `neurons[64 * g]` on, and their values the first of the group in `x`.
package typealias SparseNeuronSums =
    @Sendable (
        _ w: WeightRows, _ neurons: UnsafePointer<Int32>, _ sizes: UnsafePointer<Int32>, _ count: Int,
        _ x: QuantizedRows, _ scratch: UnsafeMutableRawPointer, _ out: UnsafeMutablePointer<Float>
    ) -> Void

/// Rearranges `count` (at most `tileRows`) rows from `first` on into a tile for `TileDots`. A tile
/// takes `tileRows * groups * 64` bytes.
package typealias PackRows =
    @Sendable (
        _ w: WeightRows, _ first: Int, _ count: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
    ) -> Void

/// The same for columns of a neuron-major matrix: `tileRows` columns from `first` on (the padding
/// makes them exist), all `neuronCount` neurons.
package typealias PackColumns =
    @Sendable (
        _ w: WeightRows, _ neuronCount: Int, _ first: Int, _ groups: Int, _ tile: UnsafeMutableRawPointer
    ) -> Void

/// One packed tile times `tokens` tokens: `out[t * outStride + i]` for outputs `first + i`, `i < count`.
/// `w` gives scales and bias. `next` is where the rows of the next tile lie, one after another: they are prefetched
/// meanwhile.
package typealias TileDots =
    @Sendable (
        _ tile: UnsafeRawPointer, _ w: WeightRows, _ first: Int, _ count: Int, _ x: QuantizedRows,
        _ tokens: Int, _ next: UnsafeRawPointer?, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
    ) -> Void

/// Quantizes `count` floats to whole groups (docs/NUMERICS.md, 3).
package typealias Quantize =
    @Sendable (
        _ x: UnsafePointer<Float>, _ count: Int, _ values: UnsafeMutablePointer<Int8>,
        _ scales: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Int32>
    ) -> Void

/// `out[i] = Float(row[i]) * scale`.
package typealias ExpandRow =
    @Sendable (
        _ row: UnsafePointer<Int8>, _ scale: Float, _ count: Int, _ out: UnsafeMutablePointer<Float>
    ) -> Void

/// `x[i] = x[i] op y[i]`.
package typealias Combine =
    @Sendable (
        _ x: UnsafeMutablePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int
    ) -> Void

package typealias RMSNorm =
    @Sendable (
        _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ epsilon: Float, _ count: Int,
        _ out: UnsafeMutablePointer<Float>
    ) -> Void

package typealias LayerNorm =
    @Sendable (
        _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ bias: UnsafePointer<Float>,
        _ epsilon: Float, _ count: Int, _ out: UnsafeMutablePointer<Float>
    ) -> Void

/// Rotates one head in place: pairs `(x[i], x[i + pairs])`.
package typealias Rope =
    @Sendable (
        _ x: UnsafeMutablePointer<Float>, _ cosines: UnsafePointer<Float>, _ sines: UnsafePointer<Float>,
        _ pairs: Int
    ) -> Void

/// Writes every `i < count` with `x[i] >= least`, ascending; returns how many. `out` takes `count` numbers and
/// sixteen more, which may be overwritten.
package typealias IndicesAtLeast =
    @Sendable (
        _ x: UnsafePointer<Float>, _ count: Int, _ least: Float, _ out: UnsafeMutablePointer<Int32>
    ) -> Int

/// An activation function, in place.
package typealias Activate = @Sendable (_ x: UnsafeMutablePointer<Float>, _ count: Int) -> Void

/// `x[i] = x[i] > threshold ? x[i] : +0`.
package typealias FatRelu = @Sendable (_ x: UnsafeMutablePointer<Float>, _ count: Int, _ threshold: Float) -> Void

/// `x[i] = cap * tanh(x[i] / cap)` (docs/NUMERICS.md, 5).
package typealias SoftCap = @Sendable (_ x: UnsafeMutablePointer<Float>, _ count: Int, _ cap: Float) -> Void

/// The largest of `count` values, at least one.
package typealias Largest = @Sendable (_ x: UnsafePointer<Float>, _ count: Int) -> Float

/// `out[i] = laneSum(rows[i] * x)` for `count` rows of `width` floats, one after another.
package typealias FloatDots =
    @Sendable (
        _ rows: UnsafePointer<Float>, _ count: Int, _ x: UnsafePointer<Float>, _ width: Int,
        _ out: UnsafeMutablePointer<Float>
    ) -> Void

/// Clamped to the finite halves and rounded to nearest even.
package typealias ToHalf =
    @Sendable (
        _ x: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutablePointer<UInt16>
    ) -> Void

/// For every row i of the tile, `scores[t] = laneSum(query * key_t) * scale` for t < counts[i]; up to the next
/// multiple of 16 the row's scores may be overwritten. `largest[i]` becomes the largest of the row, -infinity of none.
package typealias AttentionScores =
    @Sendable (
        _ tile: QueryTile, _ keys: UnsafePointer<UInt16>, _ scale: Float, _ largest: UnsafeMutablePointer<Float>
    ) -> Void

/// `scores[t] = exp(scores[t] - largest)`, or +0 for t < first; returns their lane sum.
package typealias SoftmaxWeights =
    @Sendable (
        _ scores: UnsafeMutablePointer<Float>, _ first: Int, _ count: Int, _ largest: Float
    ) -> Float

/// For every row i of the tile, its scores being weights now,
/// `out[i * stride + j] = (sum over t < counts[i] of weights[t] * values_t[j]) / totals[i]`.
///
/// The positions may come in several calls, in their order: the first one begins the sums, the others add to what is in
/// `out`, and only the last one has totals to divide by. A count may be 0 in a call.
package typealias WeightedValues =
    @Sendable (
        _ tile: QueryTile, _ values: UnsafePointer<UInt16>, _ isFirst: Bool, _ totals: UnsafePointer<Float>?,
        _ out: UnsafeMutablePointer<Float>
    ) -> Void

/// One head of keys or values in bytes (docs/NUMERICS.md, 8); returns their scale.
package typealias ToBytes =
    @Sendable (
        _ x: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutablePointer<Int8>
    ) -> Float

/// `scores[t] = laneSum(query * key_t) * keyScales[t] * scale`; otherwise as `AttentionScores`. The scales, too, exist
/// up to the next multiple of 16.
package typealias ByteScores =
    @Sendable (
        _ tile: QueryTile, _ keys: UnsafePointer<Int8>, _ keyScales: UnsafePointer<Float>, _ scale: Float,
        _ largest: UnsafeMutablePointer<Float>
    ) -> Void

/// The sum is over `(weights[t] * valueScales[t]) * values_t[j]`; otherwise as `WeightedValues`.
package typealias ByteValues =
    @Sendable (
        _ tile: QueryTile, _ values: UnsafePointer<Int8>, _ valueScales: UnsafePointer<Float>, _ isFirst: Bool,
        _ totals: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<Float>
    ) -> Void
