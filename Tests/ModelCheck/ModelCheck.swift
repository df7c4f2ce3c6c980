// SPDX-License-Identifier: Apache-2.0

// Runs the tiny models with every kernel set that this CPU has and compares the hashes of all logits and layers
// with those of the independent reference (Tests/EndToEndTests/Reference/README.md): dense, and with masks.
//
//     model-check FIXTURES_FOLDER
//
// One line a set and model; the exit status is 1 if any bit differed.

import Glibc
import SIMDKernels
import TinyFormats
import TinyRuntime
import TinySupport

private let names = [
    "tiny-llama", "tiny-llama-relu", "tiny-opt", "tiny-llama-factors", "tiny-opt-gelu", "tiny-opt-gelu-erf",
    "tiny-llama-biases", "tiny-llama-w4", "tiny-opt-w4", "tiny-llama-relu-w4", "tiny-bitnet-ternary",
    "tiny-relu-ternary",
]

/// How a prompt may be cut and shared out, which changes nothing.
private let ways = [(threads: 1, block: 128), (threads: 2, block: 7), (threads: 3, block: 1)]

func stop(_ message: String) -> Never {
    print(message)
    exit(1)
}

@_cdecl("main")
func main(_ count: Int32, _ arguments: UnsafePointer<UnsafePointer<CChar>?>) -> Int32 {
    guard count == 2, let folder = arguments[1] else { stop("usage: model-check FIXTURES_FOLDER") }
    var good = true
    for set in Kernels.available {
        for name in names {
            do {
                let result = try check(set.name, String(cString: folder) + "/" + name)
                print("\(set.name) \(name): \(result.text)")
                good = good && result.good
            } catch {
                stop(error.description)
            }
        }
    }
    return good ? 0 : 1
}

private func check(_ kernels: String, _ prefix: String) throws(RuntimeError) -> (good: Bool, text: String) {
    let model: Model
    do { model = try Model(NativeModelFile(path: prefix + ".gguf")) } catch { stop(error.description) }
    let tokens = lines(prefix + ".tokens.txt")[0].split(separator: ",").map { Int32($0)! }
    var last = ""
    var compared = 0
    for mode in ["dense", "sparse", "edge"] {
        let wanted = lines("\(prefix).\(mode).hashes.txt")
        let mask = mode == "dense" ? nil : Mask("\(prefix).\(mode).mask.txt", layers: model.config.nLayers)
        for way in ways {
            let options = Session.Options(threads: way.threads, blockSize: way.block, kernels: kernels)
            let session: Session
            if let mask {
                session = try Session(model, options) { context, _, capacity, memory throws(RuntimeError) in
                    try MaskSelector(mask, context, capacity: capacity, in: memory)
                }
            } else {
                session = try Session(model, options)
            }
            let got = try trace(session, tokens)
            for (position, line) in got.enumerated() where line != wanted[position] {
                return (
                    false, "\(mode), \(way.threads) threads: position \(position) is \(line), not \(wanted[position])"
                )
            }
            guard got.count == wanted.count else { return (false, "\(mode): \(got.count) positions") }
            compared += got.count
        }
        if mode == "dense" { last = String(wanted[wanted.count - 1].split(separator: " ")[1]) }
    }
    return (true, "\(compared) positions equal, last logits \(last)")
}

/// A line `POSITION HASH HASH_OF_LAYER...` for every token.
private func trace(_ session: Session, _ tokens: [Int32]) throws(RuntimeError) -> [String] {
    let width = session.model.config.dModel
    var layers = [[String]](repeating: [], count: session.model.config.nLayers)
    var logits: [String] = []
    session.observeLayers { state in
        guard state.layer >= 0 else { return }
        for start in stride(from: 0, to: state.hidden.count, by: width) {
            layers[state.layer].append(hash(UnsafeBufferPointer(rebasing: state.hidden[start..<start + width])))
        }
    }
    try session.evaluate(tokens, logitsFrom: 0) { _, values in logits.append(hash(values)) }
    return logits.indices.map { t in
        (["\(t)", logits[t]] + layers.map { $0[t] }).joined(separator: " ")
    }
}

private func hash(_ values: UnsafeBufferPointer<Float>) -> String {
    let digits = String(xxHash64(UnsafeRawBufferPointer(values)), radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

/// A file of lines `neurons LAYER LIST` and `heads LAYER LIST`; layers without one compute all.
private struct Mask {
    private(set) var neurons, heads: [[Int32]?]

    init(_ path: String, layers: Int) {
        neurons = [[Int32]?](repeating: nil, count: layers)
        heads = neurons
        for line in lines(path) {
            let fields = line.split(separator: " ")
            let list = fields[2] == "-" ? [] : fields[2].split(separator: ",").map { Int32($0)! }
            if fields[0] == "neurons" { neurons[Int(fields[1])!] = list } else { heads[Int(fields[1])!] = list }
        }
    }
}

/// The neurons and heads of a mask for every token.
private final class MaskSelector: SparsitySelector {
    private let mask: Mask
    private let neurons, heads: ActiveSets

    init(_ mask: Mask, _ context: ComputeContext, capacity: Int, in memory: SessionMemory) throws(RuntimeError) {
        self.mask = mask
        neurons = try ActiveSets(total: context.shape.dFF, capacity: capacity, in: memory)
        heads = try ActiveSets(total: context.shape.nHeads, capacity: capacity, in: memory)
    }

    func heads(_ layer: Int, _ previous: LayerInputs, tokens: Int) -> Selection {
        select(heads, mask.heads[layer], tokens)
    }

    func neurons(_ layer: Int, _ inputs: LayerInputs, tokens: Int) -> Selection {
        select(neurons, mask.neurons[layer], tokens)
    }

    private func select(_ sets: ActiveSets, _ list: [Int32]?, _ tokens: Int) -> Selection {
        guard let list else { return .all }
        for t in 0..<tokens { sets.set(t, list) }
        return .indices(sets)
    }
}

private func lines(_ path: String) -> [String] {
    do {
        let file = try MappedFile(path: path)
        return withExtendedLifetime(file) {
            String(decoding: file.bytes, as: UTF8.self).split(separator: "\n").map { String($0) }
        }
    } catch {
        stop(error.description)
    }
}
