// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyRuntime

/// The bin of a value among `count` bins of width 1 from 0 on: the first for what is less, the last for what is larger or
/// no number.
@inline(__always)
package func binIndex(_ value: Float, of count: Int) -> Int {
    value < Float(count - 1) ? Int(max(value, 0)) : count - 1
}

/// Where the possible thresholds of scores lie: between 256 bins.
enum ScoreScale {
    /// Bins of an eighth, from -16 to 16: for scores that are logarithms.
    case eighths
    /// Sixteen bins an octave, from 2^-12 to 16: for scores that are sizes.
    case octaves

    private static let least: Int32 = (127 - 12) << 4

    @inline(__always)
    func bin(_ score: Float) -> Int {
        switch self {
        case .eighths: return binIndex((score + 16) * 8, of: ScoreCurve.bins)
        case .octaves:
            let key = Int32(bitPattern: score.bitPattern >> 19) &- Self.least
            return Int(min(max(key, 0), Int32(ScoreCurve.bins - 1)))
        }
    }

    /// The least score of bin k; the first threshold keeps all, the last nothing.
    func threshold(_ k: Int) -> Float {
        if k == 0 { return -1e30 }
        if k == ScoreCurve.bins { return 1e30 }
        switch self {
        case .eighths: return Float(k) / 8 - 16
        case .octaves: return Float(bitPattern: UInt32(Int32(k) + Self.least) << 19)
        }
    }
}

/// What every threshold of a predictor would mean, from tokens it was not trained on.
struct ScoreCurve: Sendable {
    /// Share of the outputs with a score of at least a threshold.
    private(set) var kept = [Double](repeating: 0, count: bins + 1)
    /// Found of those active, and active of those found.
    private(set) var recall = [Double](repeating: 0, count: bins + 1)
    private(set) var precision = [Double](repeating: 0, count: bins + 1)
    /// Energy of what is left out, by that of the residual stream.
    private(set) var lost = [Double](repeating: 0, count: bins + 1)
    private let scale: ScoreScale

    static let bins = 256

    /// The threshold below bin k.
    func threshold(_ k: Int) -> Float { scale.threshold(k) }

    /// Outputs by the bin of their score: how many, how many neurons or heads of them active, and their energy by that
    /// of the stream.
    struct Counts {
        fileprivate var all = [Double](repeating: 0, count: bins)
        fileprivate var active = [Double](repeating: 0, count: bins)
        fileprivate var energy = [Double](repeating: 0, count: bins)

        @inline(__always)
        mutating func add(_ bin: Int, energy: Double, active count: Int = 0) {
            all[bin] += 1
            active[bin] += Double(count)
            self.energy[bin] += energy
        }
    }

    /// For a predictor, from the quantized norms and sizes of `data`.
    init(_ predictor: QuantizedPredictor, _ data: PredictorData, kernels: KernelTable) {
        var counts = Counts()
        let n = data.outputs
        let stream = PredictorData.unit * PredictorData.unit
        let energy = Level.values.map { $0 * $0 / stream }
        withUnsafeTemporaryAllocation(of: Float.self, capacity: n) { scores in
            for t in 0..<data.count {
                predictor.scores(data.inputs.row(t), kernels, into: scores.baseAddress!)
                let levels = data.levels.pointer + t * n
                for i in 0..<n {
                    counts.add(
                        ScoreScale.eighths.bin(scores[i]), energy: Double(energy[Int(levels[i])] * data.gain[i]),
                        active: data.active(t, i))
                }
            }
        }
        self.init(counts, tokens: data.count, scale: .eighths, group: data.group)
    }

    /// Where nothing is marked active, recall is of energy, and precision 1.
    init(_ counts: Counts, tokens: Int, scale: ScoreScale, group: Int = 1) {
        self.scale = scale
        let all = max(counts.all.reduce(0, +), 1), active = counts.active.reduce(0, +)
        let energy = counts.energy.reduce(0, +)
        var found = 0.0, hits = 0.0, left = energy
        lost[Self.bins] = left / Double(max(tokens, 1))
        for k in stride(from: Self.bins - 1, through: 0, by: -1) {
            found += counts.all[k]
            hits += counts.active[k]
            left -= counts.energy[k]
            kept[k] = found / all
            recall[k] = active > 0 ? hits / active : 1 - max(left, 0) / max(energy, 1e-30)
            precision[k] = found > 0 && active > 0 ? hits / (found * Double(group)) : 1
            lost[k] = max(left, 0) / Double(max(tokens, 1))
        }
    }

    /// The highest threshold with at least this recall.
    func index(recall least: Double) -> Int {
        (0...Self.bins).last { recall[$0] >= least } ?? 0
    }
}
