import SIMDKernels

/// The feed-forward half of a layer, over all neurons or over the active ones (docs/NUMERICS.md, 9 and 10).
final class MLP {
    private let engine: Engine
    private let neurons, gates: AlignedBuffer<Float>
    private let quantized: Activations
    /// Active neurons of the tokens seen, and all there were: what was skipped is the difference.
    private(set) var computed = 0
    private(set) var possible = 0

    /// `[tokens, dFF]` activations of the last dense run, for those who study them.
    var activations: UnsafePointer<Float> { UnsafePointer(neurons.pointer) }

    init(_ engine: Engine, capacity: Int) throws(RuntimeError) {
        self.engine = engine
        let shape = engine.shape
        neurons = try AlignedBuffer(capacity * shape.dFF)
        gates = try AlignedBuffer(shape.gated ? capacity * shape.dFF : 0)
        quantized = try Activations(width: shape.dFF, capacity: capacity)
    }

    /// `out[t] = W_down act(W_up x[t])`, or gated, `W_down (act(W_gate x[t]) * (W_up x[t]))`.
    /// - Parameter active: the neurons to compute; nil for all of them.
    func run(
        _ layer: Weights.Layer, _ x: Activations, tokens: Int, active: ActiveSets?,
        into out: UnsafeMutablePointer<Float>
    ) {
        possible += tokens * engine.shape.dFF
        guard let active else {
            computed += tokens * engine.shape.dFF
            hidden(layer, x, tokens)
            engine.forEach(tokens) { t in
                quantized.set(t, neurons.pointer + t * engine.shape.dFF, engine.shape.dFF, engine.kernels)
            }
            down(layer, tokens, nil, out)
            return
        }
        for t in 0..<tokens { computed += active.count(t) }
        if tokens < Multiplier.tileThreshold {
            for t in 0..<tokens { hidden(layer, x.row(t), of: active, t) }
        } else {
            // Many tokens are cheaper dense, and the products have the same bits: what is not active is
            // left out of the sums below.
            hidden(layer, x, tokens)
            engine.forEach(tokens) { t in compact(t, active) }
        }
        if layer.down.isNeuronMajor {
            engine.forEach(tokens) { t in
                quantized.set(t, neurons.pointer + t * engine.shape.dFF, active.count(t), engine.kernels)
            }
            down(layer, tokens, active, out)
        } else {
            engine.forEach(tokens) { t in
                spread(t, active)
                quantized.set(t, neurons.pointer + t * engine.shape.dFF, engine.shape.dFF, engine.kernels)
            }
            down(layer, tokens, nil, out)
        }
    }

    private func down(
        _ layer: Weights.Layer, _ tokens: Int, _ active: ActiveSets?, _ out: UnsafeMutablePointer<Float>
    ) {
        let target = Multiplier.Target(map: layer.down, out: out)
        if layer.down.isNeuronMajor {
            engine.multiplier.sumNeurons(quantized, tokens: tokens, active: active, target)
        } else {
            engine.multiplier.multiply(quantized.rows(), tokens: tokens, target)
        }
    }

    /// Every neuron of several tokens.
    private func hidden(_ layer: Weights.Layer, _ x: Activations, _ tokens: Int) {
        let up = Multiplier.Target(map: layer.up, out: neurons.pointer)
        if let gate = layer.gate {
            engine.multiplier.multiply(x.rows(), tokens: tokens, up, .init(map: gate, out: gates.pointer))
        } else {
            engine.multiplier.multiply(x.rows(), tokens: tokens, up)
        }
        engine.forEach(tokens) { t in activate(t, engine.shape.dFF) }
    }

    /// The active neurons of one token, side by side.
    private func hidden(_ layer: Weights.Layer, _ x: QuantizedRows, of active: ActiveSets, _ t: Int) {
        let offset = t * engine.shape.dFF
        let up = Multiplier.Target(map: layer.up, out: neurons.pointer + offset)
        if let gate = layer.gate {
            engine.multiplier.gather(
                x, rows: active.list(t), count: active.count(t), up, .init(map: gate, out: gates.pointer + offset))
        } else {
            engine.multiplier.gather(x, rows: active.list(t), count: active.count(t), up)
        }
        activate(t, active.count(t))
    }

    private func activate(_ t: Int, _ count: Int) {
        let kernels = engine.kernels
        let h = neurons.pointer + t * engine.shape.dFF
        let target = engine.shape.gated ? gates.pointer + t * engine.shape.dFF : h
        switch engine.shape.activation {
        case .relu: kernels.relu(target, count)
        case .silu: kernels.silu(target, count)
        case .gelu: kernels.gelu(target, count)
        }
        if engine.shape.gated { kernels.multiply(h, target, count) }
    }

    /// The opposite of `compact`, with zeros for neurons that are not active.
    private func spread(_ t: Int, _ active: ActiveSets) {
        let h = neurons.pointer + t * engine.shape.dFF
        let list = active.list(t)
        var end = engine.shape.dFF
        for i in (0..<active.count(t)).reversed() {
            let place = Int(list[i])
            let value = h[i]
            (h + place).update(repeating: 0, count: end - place)
            h[place] = value
            end = place
        }
        h.update(repeating: 0, count: end)
    }

    private func compact(_ t: Int, _ active: ActiveSets) {
        let h = neurons.pointer + t * engine.shape.dFF
        let list = active.list(t)
        for i in 0..<active.count(t) { h[i] = h[Int(list[i])] }
    }
}
