// SPDX-License-Identifier: Apache-2.0

// Runs every kernel set that this CPU has against the golden function files of the independent reference
// (Tests/EndToEndTests/Reference/README.md tells their layout) and, on random shapes, against plain Swift.
//
//     kernel-check FUNCTIONS_FOLDER
//
// One line a set and kernel; the exit status is 1 if any bit differed.

import Glibc
import SIMDKernels

/// The fields of a golden file, one after the other.
struct Fields {
    private let bytes: [UInt8]
    private var at = 0

    init(_ path: String) {
        guard let file = fopen(path, "rb") else { stop("cannot open \(path)") }
        fseek(file, 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: ftell(file))
        rewind(file)
        let count = fread(&bytes, 1, bytes.count, file)
        fclose(file)
        guard count == bytes.count else { stop("cannot read \(path)") }
        self.bytes = bytes
    }

    var isAtEnd: Bool { at >= bytes.count }

    mutating func next<T: BitwiseCopyable>(_: T.Type) -> [T] {
        bytes.withUnsafeBytes { all in
            let size = Int(all.loadUnaligned(fromByteOffset: at, as: UInt32.self))
            let values = (0..<size / MemoryLayout<T>.stride).map {
                all.loadUnaligned(fromByteOffset: at + 4 + $0 * MemoryLayout<T>.stride, as: T.self)
            }
            at += 4 + (size + 3) & ~3
            return values
        }
    }

    mutating func floats() -> [Float] { next(Float.self) }
}

func stop(_ message: String) -> Never {
    print(message)
    exit(1)
}

/// Steele, Lea, Flood: SplitMix64.
struct Random {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
    mutating func byte() -> Int8 { Int8(below(255) - 127) }
    /// About -4 ... 4, now and then tiny.
    mutating func float() -> Float {
        let x = Float(Int32(truncatingIfNeeded: next())) * 0x1p-29
        return below(32) == 0 ? x * 1e-9 : x
    }
    mutating func floats(_ n: Int) -> [Float] { (0..<n).map { _ in float() } }
}

/// Counts what agreed and prints what did not.
struct Tally {
    var values = 0
    var wrong = 0

    mutating func compare(_ got: [Float], _ want: [Float], _ what: String) {
        values += want.count
        if got.count != want.count { report(what, "lengths \(got.count) and \(want.count)") }
        for i in 0..<min(got.count, want.count) where got[i].bitPattern != want[i].bitPattern {
            return report(what, "at \(i): bits \(got[i].bitPattern), wanted \(want[i].bitPattern)")
        }
    }

    mutating func compare<T: FixedWidthInteger>(_ got: [T], _ want: [T], _ what: String) {
        values += want.count
        if got != want { report(what, "integers") }
    }

    private mutating func report(_ what: String, _ how: String) {
        wrong += 1
        print("    \(what) differs \(how)")
    }
}

/// Activations quantized by a set, as its other kernels take them.
struct Quantized {
    var values: [Int8]
    var scales: [Float]
    var sums: [Int32]
    var groups: Int

    init(_ x: [Float], _ set: KernelTable) {
        groups = (x.count + 63) / 64
        values = [Int8](repeating: 0, count: groups * 64)
        scales = [Float](repeating: 0, count: groups)
        sums = [Int32](repeating: 0, count: groups)
        set.quantize(x, x.count, &values, &scales, &sums)
    }

    /// Several tokens one after the other.
    init(tokens: [[Float]], _ set: KernelTable) {
        self.init(tokens[0], set)
        for token in tokens.dropFirst() {
            let one = Quantized(token, set)
            values += one.values
            scales += one.scales
            sums += one.sums
        }
    }

    func with<R>(_ body: (QuantizedRows) -> R) -> R {
        values.withUnsafeBufferPointer { v in
            scales.withUnsafeBufferPointer { s in
                sums.withUnsafeBufferPointer { u in
                    body(
                        QuantizedRows(
                            values: v.baseAddress!, scales: s.baseAddress!, sums: u.baseAddress!, groups: groups))
                }
            }
        }
    }
}

/// A matrix of either orientation.
struct Weights {
    var bytes: [Int8]
    var stride: Int
    var scales: [Float]
    var bias: [Float]

    func with<R>(_ body: (WeightRows) -> R) -> R {
        bytes.withUnsafeBufferPointer { w in
            scales.withUnsafeBufferPointer { s in
                bias.withUnsafeBufferPointer { b in
                    body(
                        WeightRows(
                            weights: w.baseAddress!, stride: stride, scales: s.baseAddress!,
                            bias: bias.isEmpty ? nil : b.baseAddress!))
                }
            }
        }
    }
}

/// The products of a set on one matrix, by each of its ways.
struct Products {
    let set: KernelTable

    func rows(_ m: Weights, _ list: [Int32]?, _ count: Int, _ x: Quantized) -> [Float] {
        var out = [Float](repeating: 0, count: count)
        m.with { w in
            x.with { x in
                if let list {
                    set.rowDots(w, list, 0, count, x, 1, &out, 0)
                } else {
                    set.rowDots(w, nil, 0, count, x, 1, &out, 0)
                }
            }
        }
        return out
    }

    func neurons(_ m: Weights, _ list: [Int32]?, _ active: Int, _ count: Int, _ x: Quantized) -> [Float] {
        var out = [Float](repeating: 0, count: count)
        var scratch = [SIMD16<Int32>](repeating: .zero, count: (count + 63) / 64 * 8)
        m.with { w in
            x.with { x in
                scratch.withUnsafeMutableBytes { scratch in
                    let room = scratch.baseAddress!
                    if let list {
                        set.neuronSums(w, list, active, count, x, 1, room, &out, 0)
                    } else {
                        set.neuronSums(w, nil, active, count, x, 1, room, &out, 0)
                    }
                }
            }
        }
        return out
    }

    /// The same in two steps.
    func neuronsByGroups(_ m: Weights, _ list: [Int32], _ count: Int, _ x: Quantized) -> [Float] {
        var out = [Float](repeating: 0, count: count)
        var scratch = [SIMD16<Int32>](repeating: .zero, count: (count + 63) / 64 * 4)
        var contributions = [Float](repeating: 0, count: (count + 63) / 64 * 64 * x.groups)
        m.with { w in
            x.with { x in
                scratch.withUnsafeMutableBytes { scratch in
                    set.neuronGroups(w, list, list.count, count, x, scratch.baseAddress!, &contributions)
                    set.groupSums(w, &contributions, x.groups, count, &out)
                }
            }
        }
        return out
    }

    /// All outputs of several tokens, tile by tile; `neurons` says that the matrix is neuron-major.
    func tiles(_ m: Weights, outputs: Int, neurons: Int?, _ x: Quantized, tokens: Int) -> [Float] {
        var out = [Float](repeating: 0, count: outputs * tokens)
        var tile = [SIMD16<Int32>](repeating: .zero, count: set.tileRows * x.groups)
        m.with { w in
            x.with { x in
                tile.withUnsafeMutableBytes { tile in
                    out.withUnsafeMutableBufferPointer { out in
                        for first in Swift.stride(from: 0, to: outputs, by: set.tileRows) {
                            let count = min(set.tileRows, outputs - first)
                            if let neurons {
                                set.packColumns(w, neurons, first, x.groups, tile.baseAddress!)
                            } else {
                                set.packRows(w, first, count, x.groups, tile.baseAddress!)
                            }
                            set.tileDots(
                                UnsafeRawPointer(tile.baseAddress!), w, first, count, x, tokens, nil,
                                out.baseAddress! + first, outputs)
                        }
                    }
                }
            }
        }
        return out
    }
}

@_cdecl("main")
func main(_ count: Int32, _ arguments: UnsafePointer<UnsafePointer<CChar>?>) -> Int32 {
    guard count == 2, let folder = arguments[1] else { stop("usage: kernel-check FUNCTIONS_FOLDER") }
    let plain = Kernels.available[Kernels.available.count - 1]
    var wrong = 0
    for set in Kernels.available {
        let golden = checkGoldens(set, String(cString: folder) + "/")
        let random = checkRandom(set, plain: plain)
        print(
            "\(set.name): golden values \(golden.values), cases wrong \(golden.wrong); "
                + "random values \(random.values), cases wrong \(random.wrong)")
        wrong += golden.wrong + random.wrong
    }
    return wrong == 0 ? 0 : 1
}
