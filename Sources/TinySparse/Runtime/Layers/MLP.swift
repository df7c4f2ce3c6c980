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
    /// `[tokens, dFF]` gates of the last dense run, activated; of a gated model.
    var gateActivations: UnsafePointer<Float> { UnsafePointer(gates.pointer) }

    init(_ engine: Engine, capacity: Int) throws(RuntimeError) {
        self.engine = engine
        let shape = engine.shape
        neurons = try AlignedBuffer(capacity * shape.dFF)
        gates = try AlignedBuffer(shape.gated ? capacity * shape.dFF : 0)
        quantized = try Activations(width: shape.dFF, capacity: capacity)
    }

    /// Which neurons a layer computes.
    enum Choice {
        case all
        case these(ActiveSets)
        /// Those that `choose` names once the gates `[tokens, dFF]` of all are known.
        case byGate(choose: (_ gates: UnsafePointer<Float>) -> ActiveSets)
    }

    /// `out[t] = W_down act(W_up x[t])`, or gated, `W_down (act(W_gate x[t]) * (W_up x[t]))`.
    func run(
        _ layer: Weights.Layer, _ x: Activations, tokens: Int, _ choice: Choice, into out: UnsafeMutablePointer<Float>
    ) {
        possible += tokens * engine.shape.dFF
        let active: ActiveSets
        switch choice {
        case .all:
            computed += tokens * engine.shape.dFF
            if tokens == 1, layer.down.isNeuronMajor { return alone(layer, x.row(0), nil, 0, out) }
            hidden(layer, x, tokens)
            engine.forEach(tokens) { t in
                quantized.set(t, neurons.pointer + t * engine.shape.dFF, engine.shape.dFF, engine.kernels)
            }
            return down(layer, tokens, nil, out)
        case .these(let sets):
            active = sets
            if tokens < Multiplier.tileThreshold, layer.down.isNeuronMajor {
                for t in 0..<tokens {
                    computed += active.count(t)
                    alone(layer, x.row(t), active, t, out + t * engine.shape.dModel)
                }
                return
            } else if tokens < Multiplier.tileThreshold {
                for t in 0..<tokens { hidden(layer, x.row(t), of: active, t) }
            } else {
                // Many tokens are cheaper dense, and the products have the same bits: what is not active is
                // left out of the sums below.
                hidden(layer, x, tokens)
                engine.forEach(tokens) { t in compact(neurons, t, active) }
            }
        case .byGate(let choose):
            engine.multiplier.multiply(x.rows(), tokens: tokens, .init(map: layer.gate!, out: gates.pointer))
            engine.forEach(tokens) { t in activate(gates, t, 0, engine.shape.dFF) }
            active = choose(UnsafePointer(gates.pointer))
            ups(layer, x, tokens, active)
        }
        for t in 0..<tokens { computed += active.count(t) }
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
        if let active {
            engine.multiplier.sumNeurons(quantized, tokens: tokens, active: active, target)
        } else {
            engine.multiplier.apply(quantized, tokens: tokens, target)
        }
    }

    /// One token, whose values in `neurons` and `quantized` are the t-th.
    private func alone(
        _ layer: Weights.Layer, _ x: QuantizedRows, _ active: ActiveSets?, _ t: Int, _ out: UnsafeMutablePointer<Float>
    ) {
        let total = engine.shape.dFF
        let up = Multiplier.Target(map: layer.up, out: neurons.pointer + t * total)
        let down = Multiplier.Target(map: layer.down, out: out)
        let list = active?.list(t), count = active?.count(t) ?? total
        func activate(_ first: Int, _ count: Int) {
            finish(t, first, count)
            quantized.set(t, from: first, neurons.pointer + (t * total + first), count, engine.kernels)
        }
        if let gate = layer.gate {
            engine.multiplier.passThrough(
                x, up, .init(map: gate, out: gates.pointer + t * total), list: list, count: count, hidden: quantized.row(t),
                activate: activate, into: down)
        } else {
            engine.multiplier.passThrough(
                x, up, list: list, count: count, hidden: quantized.row(t), activate: activate, into: down)
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
        engine.forEach(tokens) { t in finish(t, 0, engine.shape.dFF) }
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
        finish(t, 0, active.count(t))
    }

    /// The active neurons of several tokens, side by side, from finished gates of all.
    private func ups(_ layer: Weights.Layer, _ x: Activations, _ tokens: Int, _ active: ActiveSets) {
        let dFF = engine.shape.dFF
        let isTiled = tokens >= Multiplier.tileThreshold
        if isTiled { engine.multiplier.multiply(x.rows(), tokens: tokens, .init(map: layer.up, out: neurons.pointer)) }
        engine.forEach(tokens) { t in
            compact(gates, t, active)
            if isTiled { compact(neurons, t, active) }
        }
        for t in 0..<tokens {
            let up = neurons.pointer + t * dFF
            if !isTiled {
                engine.multiplier.gather(x.row(t), rows: active.list(t), count: active.count(t), .init(map: layer.up, out: up))
            }
            engine.kernels.multiply(up, gates.pointer + t * dFF, active.count(t))
        }
    }

    /// From products to activations of a token: `count` from the `first` on.
    private func finish(_ t: Int, _ first: Int, _ count: Int) {
        if engine.shape.gated {
            let place = t * engine.shape.dFF + first
            activate(gates, t, first, count)
            engine.kernels.multiply(neurons.pointer + place, gates.pointer + place, count)
        } else {
            activate(neurons, t, first, count)
        }
    }

    private func activate(_ values: AlignedBuffer<Float>, _ t: Int, _ first: Int, _ count: Int) {
        let values = values.pointer + (t * engine.shape.dFF + first)
        switch engine.shape.activation {
        case .relu: engine.kernels.relu(values, count)
        case .silu: engine.kernels.silu(values, count)
        case .gelu: engine.kernels.gelu(values, count)
        }
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

    private func compact(_ values: AlignedBuffer<Float>, _ t: Int, _ active: ActiveSets) {
        let values = values.pointer + t * engine.shape.dFF
        let list = active.list(t)
        for i in 0..<active.count(t) { values[i] = values[Int(list[i])] }
    }
}
