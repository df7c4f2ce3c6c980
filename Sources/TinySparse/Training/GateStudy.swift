// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats
import TinyRuntime

/// What the gates of a gated model tell about its neurons, from a text read dense: a rule for each layer
/// (`GateRule`) without its threshold, and what every threshold would mean.
///
/// A neuron adds act(g) u times its row of the down projection. Once the gate is known, the best guess of that
/// energy is act(g)^2 E[u^2] |row|^2, E[u^2] being estimated by the sums of (act(g) u)^2 and act(g)^2. The rule is
/// CATS (Lee et al., 2024), with neurons weighted by their gain.
struct GateStudy {
    /// By layer, [dFF], such that the mean square of a layer's scores is 1.
    private(set) var gain: [[Float]]
    private(set) var curves: [ScoreCurve] = []

    /// Reads the sample twice.
    /// - Parameter progress: called after every piece; returning false ends the study.
    /// - Throws: `RuntimeError`.
    init(
        _ session: Session, _ sample: TextSample, progress: (_ done: Int, _ of: Int) -> Bool
    ) throws(RuntimeError) {
        let config = session.model.config
        let (layers, dFF) = (config.nLayers, config.dFF)
        let energies = session.model.weights.layers.map { $0.down.inputEnergies }
        gain = []
        let pieces = 2 * sample.chunks.count

        let sums = try AlignedBuffer<Float>(2 * layers * dFF)
        try session.study(sample, { done in progress(done, pieces) }) { state in
            let outputs = sums.pointer + 2 * state.layer * dFF, gates = outputs + dFF
            for t in 0..<state.tokens {
                let h = state.neurons + t * dFF, a = state.gates + t * dFF
                for i in 0..<dFF {
                    outputs[i] += h[i] * h[i]
                    gates[i] += a[i] * a[i]
                }
            }
        }
        for layer in 0..<layers {
            let outputs = sums.pointer + 2 * layer * dFF, gates = outputs + dFF
            let squares = (0..<dFF).map { outputs[$0] / max(gates[$0], 1e-20) * energies[layer][$0] }
            let total = (0..<dFF).reduce(Float(0)) { $0 + gates[$1] * squares[$1] }
            let unit = total / Float(max(sample.tokens, 1) * dFF)
            gain.append(squares.map { ($0 / max(unit, 1e-30)).squareRoot() })
        }

        var counts = [ScoreCurve.Counts](repeating: .init(), count: layers)
        let gain = gain
        try session.study(sample, { done in progress(sample.chunks.count + done, pieces) }) { state in
            for t in 0..<state.tokens {
                let h = state.neurons + t * dFF, a = state.gates + t * dFF,
                    x = state.hidden.baseAddress! + t * config.dModel
                let stream = max(MatrixMath.dot(x, x, config.dModel), 1e-20)
                for i in 0..<dFF {
                    counts[state.layer].add(
                        ScoreScale.octaves.bin(a[i].magnitude * gain[state.layer][i]),
                        energy: Double(h[i] * h[i] * energies[state.layer][i] / stream))
                }
            }
        }
        curves = counts.map { ScoreCurve($0, tokens: sample.tokens, scale: .octaves) }
    }
}

extension Session {
    /// Reads every piece of a sample on its own, `body` seeing every layer of every block.
    fileprivate func study(
        _ sample: TextSample, _ progress: (Int) -> Bool, _ body: (LayerState) -> Void
    ) throws(RuntimeError) {
        try withoutActuallyEscaping(body) { body throws(RuntimeError) in
            observeLayers { state in if state.layer >= 0 { body(state) } }
            defer { observeLayers(nil) }
            for (index, chunk) in sample.chunks.enumerated() {
                rewind(to: 0)
                try evaluate(chunk)
                if !progress(index + 1) { break }
            }
            rewind(to: 0)
        }
    }
}
