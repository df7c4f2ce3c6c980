// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyFormats

/// The feed-forward half of a layer, over all neurons or over the active ones (docs/NUMERICS.md, 9 and 10).
package final class MLP {
    let context: ComputeContext
    /// `[tokens, dFF]`
    let neurons, gates: AlignedBuffer<Float>
    let quantized: Activations
    /// Skips neurons whose activation is zero; nil if the activation function has hardly any zeros.
    private let zeroSkipping: ZeroSkipping?
    /// Active neurons of the tokens seen, and all there were: the difference was skipped.
    private(set) var computed = 0
    private(set) var possible = 0

    /// `[tokens, dFF]` activations of the last dense run, for observers.
    package var activations: UnsafePointer<Float> { UnsafePointer(neurons.pointer) }
    /// `[tokens, dFF]` activated gates of a gated model: of the last dense run, or of `computeGates`.
    package var gateActivations: UnsafePointer<Float> { UnsafePointer(gates.pointer) }

    package init(_ context: ComputeContext, capacity: Int, in memory: SessionMemory? = nil) throws(RuntimeError) {
        self.context = context
        let shape = context.shape
        neurons = try AlignedBuffer(capacity * shape.dFF, in: memory)
        gates = try AlignedBuffer(shape.gated ? capacity * shape.dFF : 0, in: memory)
        quantized = try Activations(width: shape.dFF, capacity: capacity, in: memory)
        zeroSkipping = shape.activation.isSparse ? try ZeroSkipping(shape, in: memory) : nil
    }

    /// `out[t] = W_down act(W_up x[t])`, or gated, `W_down (act(W_gate x[t]) * (W_up x[t]))`.
    ///
    /// | tokens | neurons | regime |
    /// | --- | --- | --- |
    /// | 1 (each of a few, if some are selected) | all or some, rows of `down` by neuron | `decode` |
    /// | below `fewTokens` | some | `smallBatch`, then `project` |
    /// | any | all; some of many | `prefill`, then `project` |
    ///
    /// - Parameter gatesAreComputed: `computeGates` has run for these tokens.
    package func run(
        _ layer: Weights.Layer, _ x: Activations, tokens: Int, _ selection: Selection, gatesAreComputed: Bool = false,
        into out: UnsafeMutablePointer<Float>
    ) {
        count(selection, tokens)
        let isFew = tokens < Selection.fewTokens
        switch selection {
        case .all where tokens == 1 && layer.down.isNeuronMajor && layer.mlpSubNorm == nil:
            decode(layer, x.row(0), nil, 0, into: out)
        case .all:
            prefill(layer, x, tokens, gatesAreComputed: gatesAreComputed)
            project(layer, tokens, nil, into: out)
        case .indices(let active)
        where isFew && layer.down.isNeuronMajor && !gatesAreComputed && layer.mlpSubNorm == nil:
            for t in 0..<tokens { decode(layer, x.row(t), active, t, into: out + t * context.shape.dModel) }
        case .indices(let active):
            if isFew {
                smallBatch(layer, x, tokens, active, gatesAreComputed: gatesAreComputed)
            } else {
                // Many tokens are cheaper dense, and the products have the same bits: what is not active is left
                // out of the sums of `project`.
                prefill(layer, x, tokens, gatesAreComputed: gatesAreComputed)
                context.forEachToken(tokens) { t in compact(neurons, t, active) }
            }
            project(layer, tokens, active, into: out)
        }
    }

    /// The same over each token's experts. (Their matrices are read once for each token.)
    func run(
        _ layer: Weights.Layer, _ x: Activations, tokens: Int, _ router: ExpertRouter,
        into out: UnsafeMutablePointer<Float>
    ) {
        for t in 0..<tokens {
            let (active, weights) = router.choose(t)
            count(.indices(active), 1)
            decode(layer, x.row(t), active, 0, weights, into: out + t * context.shape.dModel)
        }
    }

    /// Computes and activates the gates of all neurons, for a selection that depends on them.
    package func computeGates(_ layer: Weights.Layer, _ x: Activations, tokens: Int) {
        context.products.multiply(x.rows(), tokens: tokens, ProductTarget(map: layer.gate!, out: gates.pointer))
        context.forEachToken(tokens) { t in activate(gates.pointer + t * context.shape.dFF, context.shape.dFF) }
    }

    private func count(_ selection: Selection, _ tokens: Int) {
        possible += tokens * context.shape.dFF
        switch selection {
        case .all: computed += tokens * context.shape.dFF
        case .indices(let active): for t in 0..<tokens { computed += active.count(t) }
        }
    }

    // MARK: Regimes

    /// One token, by the way that is faster; both give the same bits.
    private func decode(
        _ layer: Weights.Layer, _ x: QuantizedRows, _ active: ActiveSets?, _ t: Int, _ experts: ExpertWeights? = nil,
        into out: UnsafeMutablePointer<Float>
    ) {
        context.products.sumSubgroups(x, 1, isNeeded: layer.up.isFourBit || layer.gate?.isFourBit ?? false)
        if let zeroSkipping, zeroSkipping.pays() {
            zeroSkipping.decode(self, layer, x, active, t, experts, into: out)
        } else {
            fusedDecode(layer, x, active, t, experts, into: out)
        }
    }

    /// One token in one job: a task is some of the neurons, whole quantization groups, from their rows of `up` and
    /// `gate` through the activation to what they add to the outputs, without a barrier in between.
    /// - Parameters:
    ///   - t: the token's place in `active` and in the buffers.
    ///   - experts: what the neurons of a mixture are multiplied by.
    private func fusedDecode(
        _ layer: Weights.Layer, _ x: QuantizedRows, _ active: ActiveSets?, _ t: Int, _ experts: ExpertWeights?,
        into out: UnsafeMutablePointer<Float>
    ) {
        let products = context.products, sums = context.neuronSums
        let total = context.shape.dFF, start = t * total
        let list = active?.list(t), count = active?.count(t) ?? total
        let hidden = quantized.row(t)
        func activateNeurons(_ first: Int, _ some: Int, _ worker: Int) {
            let rows = list.map { $0 + first }, firstRow = list == nil ? first : 0
            products.rows(layer.up, rows, firstRow, some, x, 1, worker, into: neurons.pointer + (start + first))
            if let gate = layer.gate {
                products.rows(gate, rows, firstRow, some, x, 1, worker, into: gates.pointer + (start + first))
            }
            finish(t, first, some)
            experts?.apply(to: neurons.pointer + (start + first), first: first, some)
            quantized.set(t, from: first, neurons.pointer + (start + first), some, context.kernels)
        }
        let bytes = layer.up.rowBytes + (layer.gate?.rowBytes ?? 0) + layer.down.rowBytes
        let some = context.pool.partition.rowsPerTask(count, rowBytes: bytes)
        guard count > some else {
            activateNeurons(0, count, 0)
            return sums.sum(layer.down, list, count, hidden.groups(from: 0, count: count), into: out, 0)
        }
        context.pool.run((count + some - 1) / some) { task, worker in
            let first = task * some
            activateNeurons(first, min(some, count - first), worker)
            sums.sumGroups(layer.down, list, first, min(some, count - first), hidden, worker)
        }
        sums.addGroups(ProductTarget(map: layer.down, out: out), count)
    }

    /// The active neurons of a few tokens, contiguous for each.
    private func smallBatch(
        _ layer: Weights.Layer, _ x: Activations, _ tokens: Int, _ active: ActiveSets, gatesAreComputed: Bool
    ) {
        for t in 0..<tokens {
            let offset = t * context.shape.dFF, list = active.list(t), count = active.count(t)
            let up = ProductTarget(map: layer.up, out: neurons.pointer + offset)
            if gatesAreComputed {
                compact(gates, t, active)
                context.products.gather(x.row(t), rows: list, count: count, up)
                multiplyByGates(t, 0, count)
                continue
            }
            if let gate = layer.gate {
                context.products.gather(
                    x.row(t), rows: list, count: count, up, ProductTarget(map: gate, out: gates.pointer + offset))
            } else {
                context.products.gather(x.row(t), rows: list, count: count, up)
            }
            finish(t, 0, count)
        }
    }

    /// Every neuron of several tokens.
    private func prefill(_ layer: Weights.Layer, _ x: Activations, _ tokens: Int, gatesAreComputed: Bool) {
        let total = context.shape.dFF
        let up = ProductTarget(map: layer.up, out: neurons.pointer)
        if let gate = layer.gate, !gatesAreComputed {
            context.products.multiply(x.rows(), tokens: tokens, up, ProductTarget(map: gate, out: gates.pointer))
        } else {
            context.products.multiply(x.rows(), tokens: tokens, up)
        }
        context.forEachToken(tokens) { t in
            if gatesAreComputed {
                multiplyByGates(t, 0, total)
            } else {
                finish(t, 0, total)
            }
        }
    }

    /// From neurons to outputs.
    /// - Parameter active: the neurons whose values are in the buffer, contiguous for each token; nil for all.
    private func project(
        _ layer: Weights.Layer, _ tokens: Int, _ active: ActiveSets?, into out: UnsafeMutablePointer<Float>
    ) {
        let total = context.shape.dFF
        let isByNeuron = layer.down.isNeuronMajor
        context.forEachToken(tokens) { t in
            if let norm = layer.mlpSubNorm {
                // The norm is over all neurons, those that are not active being zero.
                let values = neurons.pointer + t * total
                if let active { expand(t, active) }
                context.normalize(norm, values, total, into: values)
                if let active, isByNeuron { compact(neurons, t, active) }
            } else if let active, !isByNeuron {
                expand(t, active)
            }
            let count = isByNeuron ? active?.count(t) ?? total : total
            quantized.set(t, neurons.pointer + t * total, count, context.kernels)
        }
        let target = ProductTarget(map: layer.down, out: out)
        if let active, isByNeuron {
            context.neuronSums.multiply(quantized, tokens: tokens, active: active, target)
        } else {
            context.multiply(quantized, tokens: tokens, target)
        }
    }

    // MARK: Activations

    /// From products to activations of a token: `count` from the `first` on.
    private func finish(_ t: Int, _ first: Int, _ count: Int) {
        let place = t * context.shape.dFF + first
        if context.shape.gated {
            activate(gates.pointer + place, count)
            multiplyByGates(t, first, count)
        } else {
            activate(neurons.pointer + place, count)
        }
    }

    /// `neurons = neurons * gates`, or `act(neurons) * gates`, the gates being activated.
    private func multiplyByGates(_ t: Int, _ first: Int, _ count: Int) {
        let place = t * context.shape.dFF + first
        if context.shape.activatesUp { activate(neurons.pointer + place, count) }
        context.kernels.multiply(neurons.pointer + place, gates.pointer + place, count)
    }

    func activate(_ values: UnsafeMutablePointer<Float>, _ count: Int) {
        let kernels = context.kernels
        switch context.shape.activation {
        case .relu: kernels.relu(values, count)
        case .relu2:
            kernels.relu(values, count)
            kernels.multiply(values, values, count)
        case .fatrelu: kernels.fatRelu(values, count, context.shape.activationThreshold)
        case .silu: kernels.silu(values, count)
        case .gelu: kernels.gelu(values, count)
        case .geluErf: kernels.geluErf(values, count)
        }
    }

    /// Moves the values of a token's active neurons to the front.
    private func compact(_ values: AlignedBuffer<Float>, _ t: Int, _ active: ActiveSets) {
        let values = values.pointer + t * context.shape.dFF
        let list = active.list(t)
        for i in 0..<active.count(t) { values[i] = values[Int(list[i])] }
    }

    /// The opposite of `compact`, with zeros for neurons that are not active.
    private func expand(_ t: Int, _ active: ActiveSets) {
        let h = neurons.pointer + t * context.shape.dFF
        let list = active.list(t)
        var end = context.shape.dFF
        for i in (0..<active.count(t)).reversed() {
            let place = Int(list[i])
            let value = h[i]
            (h + place).update(repeating: 0, count: end - place)
            h[place] = value
            end = place
        }
        h.update(repeating: 0, count: end)
    }
}
