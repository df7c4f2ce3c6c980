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

private let names = ["tiny-llama", "tiny-llama-relu", "tiny-opt", "tiny-llama-factors", "tiny-opt-gelu", "tiny-llama-w4", "tiny-opt-w4"]

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
        let sparsity = mode == "dense" ? .off : mask("\(prefix).\(mode).mask.txt", layers: model.config.nLayers)
        for way in ways {
            let session = try Session(
                model, .init(threads: way.threads, blockSize: way.block, kernels: kernels, sparsity: sparsity))
            let got = try trace(session, tokens)
            for (position, line) in got.enumerated() where line != wanted[position] {
                return (false, "\(mode), \(way.threads) threads: position \(position) is \(line), not \(wanted[position])")
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

/// A file of lines `neurons LAYER LIST` and `heads LAYER LIST`.
private func mask(_ path: String, layers: Int) -> SelectionMethod {
    var neurons = [[Int32]?](repeating: nil, count: layers), heads = neurons
    for line in lines(path) {
        let fields = line.split(separator: " ")
        let list = fields[2] == "-" ? [] : fields[2].split(separator: ",").map { Int32($0)! }
        if fields[0] == "neurons" { neurons[Int(fields[1])!] = list } else { heads[Int(fields[1])!] = list }
    }
    return .fixed(neurons: neurons, heads: heads)
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
