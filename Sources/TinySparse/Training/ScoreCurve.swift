import SIMDKernels

/// What every threshold of a predictor would mean, from tokens it was not trained on: scores fall into 256 bins
/// of an eighth, and a threshold lies between two of them.
struct ScoreCurve: Sendable {
    /// Share of the outputs with a score of at least a threshold.
    private(set) var kept = [Double](repeating: 0, count: bins + 1)
    /// Found of those active, and active of those found.
    private(set) var recall = [Double](repeating: 0, count: bins + 1)
    private(set) var precision = [Double](repeating: 0, count: bins + 1)
    /// Energy of what is left out, by that of the residual stream.
    private(set) var lost = [Double](repeating: 0, count: bins + 1)

    static let bins = 256
    /// The threshold below bin k; the first keeps all, the last nothing.
    static func threshold(_ k: Int) -> Float { k == 0 ? -1e30 : k == bins ? 1e30 : Float(k) / 8 - 16 }

    init(_ predictor: QuantizedPredictor, _ data: PredictorData, kernels: KernelTable) {
        var counts = [Double](repeating: 0, count: Self.bins), actives = counts, energies = counts
        let n = data.outputs
        let energy = Level.values.map { $0 * $0 }
        withUnsafeTemporaryAllocation(of: Float.self, capacity: n) { scores in
            for t in 0..<data.count {
                predictor.scores(data.inputs.row(t), kernels, into: scores.baseAddress!)
                let levels = data.levels.pointer + t * n, bound = data.bounds[t]
                for i in 0..<n {
                    let bin = Int(min(max((scores[i] + 16) * 8, 0), Float(Self.bins - 1)))
                    counts[bin] += 1
                    if levels[i] >= bound { actives[bin] += 1 }
                    energies[bin] += Double(energy[Int(levels[i])] * data.reach[i])
                }
            }
        }
        let all = max(counts.reduce(0, +), 1), active = max(actives.reduce(0, +), 1)
        let stream = Double(PredictorData.unit * PredictorData.unit) * Double(max(data.count, 1))
        var found = 0.0, hits = 0.0, left = energies.reduce(0, +)
        lost[Self.bins] = left / stream
        for k in stride(from: Self.bins - 1, through: 0, by: -1) {
            found += counts[k]
            hits += actives[k]
            left -= energies[k]
            kept[k] = found / all
            recall[k] = hits / active
            precision[k] = found > 0 ? hits / found : 1
            lost[k] = max(left, 0) / stream
        }
    }

    /// The highest threshold with at least this recall.
    func index(recall least: Double) -> Int {
        (0...Self.bins).last { recall[$0] >= least } ?? 0
    }
}
