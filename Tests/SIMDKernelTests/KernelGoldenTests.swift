// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import XCTest

/// Every kernel of every set gives the bits of the independent reference.
final class KernelGoldenTests: XCTestCase {
    func testEverySetExponentiatesAsTheReference() throws {
        var file = try GoldenFile("exp")
        let x = file.floats(), y = file.floats()
        forEverySet { set in
            assertSameBits(set.softmax(x, 0).weights, y, "\(set.name) exp")
            // A number alone takes the path of the last few elements.
            for i in stride(from: 0, to: x.count, by: 37) {
                assertSameBits(set.softmax([x[i]], 0).weights, [y[i]], "\(set.name) exp(\(x[i])) alone")
            }
        }
    }

    func testEverySetActivatesAsTheReference() throws {
        for name in ["relu", "silu", "gelu", "gelu_erf"] {
            var file = try GoldenFile(name)
            let x = file.floats(), y = file.floats()
            forEverySet { set in
                let kernel = ["relu": set.relu, "silu": set.silu, "gelu": set.gelu, "gelu_erf": set.geluErf][name]!
                assertSameBits(set.inPlace(kernel, x), y, "\(set.name) \(name)")
                for start in stride(from: 0, to: x.count - 7, by: 31) {
                    assertSameBits(
                        set.inPlace(kernel, Array(x[start..<start + 7])), Array(y[start..<start + 7]),
                        "\(set.name) \(name) of seven")
                }
            }
        }
    }

    func testEverySetActivatesWithANumberAsTheReference() throws {
        for name in ["fatrelu", "softcap"] {
            var file = try GoldenFile(name)
            while file.hasMore {
                let number = file.floats()[0], x = file.floats(), y = file.floats()
                forEverySet { set in
                    let kernel = name == "fatrelu" ? set.fatRelu : set.softCap
                    assertSameBits(set.inPlace({ kernel($0, $1, number) }, x), y, "\(set.name) \(name) of \(number)")
                }
            }
        }
        var file = try GoldenFile("relu2")
        let x = file.floats(), y = file.floats()
        forEverySet { set in
            let rectified = set.inPlace(set.relu, x)
            let squared = set.inPlace({ set.multiply($0, $0, $1) }, rectified)
            assertSameBits(squared, y, "\(set.name) relu2")
        }
    }

    func testEverySetWeighsWindowsAndRoutersAsTheReference() throws {
        var file = try GoldenFile("softmax_window")
        while file.hasMore {
            let s = file.floats(), first = file.ints()[0], e = file.floats(), total = file.floats()[0]
            forEverySet { set in
                let got = set.softmax(s, from: first, s[first...].max()!)
                assertSameBits(
                    got.weights + [got.total], e + [total], "\(set.name) softmax of \(s.count) from \(first)")
            }
        }
        file = try GoldenFile("float_dots")
        while file.hasMore {
            let shape = file.ints(), rows = file.floats(), x = file.floats(), wanted = file.floats()
            forEverySet { set in
                let rows = Guarded(rows), x = Guarded(x), out = Output<Float>(shape[0])
                set.floatDots(rows.pointer, shape[0], x.pointer, shape[1], out.pointer)
                assertSameBits(out.values("\(set.name) floatDots"), wanted, "\(set.name) floatDots \(shape)")
            }
        }
    }

    func testEverySetRoundsToHalvesAsTheReference() throws {
        var file = try GoldenFile("half")
        let x = file.floats(), bits = file.halves(), values = file.floats()
        forEverySet { set in
            assertSame(set.halves(x), bits, "\(set.name) toHalf")
            // Weighted by one and divided by one, a half comes back as it is (but -0 as +0).
            let width = (bits.count + 15) / 16 * 16
            let padded = bits + [UInt16](repeating: 0, count: width - bits.count)
            let back = Array(set.weighted([1], padded, width, 1).prefix(bits.count))
            assertSameBits(back, values.map { $0 + 0 }, "\(set.name) halves as floats")
        }
    }

    func testEverySetSumsLanesAsTheReference() throws {
        var file = try GoldenFile("lane_sum")
        while file.hasMore {
            let x = file.floats(), sum = file.float()
            let width = max((x.count + 15) / 16 * 16, 16)
            let query = x + [Float](repeating: 0, count: width - x.count)
            let ones = [UInt16](repeating: 0x3C00, count: width)
            forEverySet { set in
                let result = set.scores(query, ones, width, 1, 1)
                assertSameBits(result.scores + [result.largest], [sum, sum], "\(set.name) sum of \(x.count)")
            }
        }
    }

    func testEverySetTakesSoftmaxAsTheReference() throws {
        var file = try GoldenFile("softmax")
        while file.hasMore {
            let s = file.floats(), e = file.floats(), z = file.float()
            forEverySet { set in
                let result = set.softmax(s, s.max()!)
                assertSameBits(result.weights, e, "\(set.name) softmax of \(s.count)")
                assertSameBits([result.total], [z], "\(set.name) total of \(s.count)")
            }
        }
    }

    func testEverySetQuantizesAsTheReference() throws {
        var file = try GoldenFile("quantize")
        while file.hasMore {
            let x = file.floats(), q = file.bytes(), scales = file.floats()
            forEverySet { set in
                let rows = TestRows(quantizing: x, set)
                assertSame(rows.values.values, q, "\(set.name) quantize \(x.count), values")
                assertSameBits(rows.scales.values, scales, "\(set.name) quantize \(x.count), scales")
                let sums = scales.indices.map { g in 128 * q[g * 64..<g * 64 + 64].reduce(Int32(0)) { $0 + Int32($1) } }
                assertSame(rows.sums.values, sums, "\(set.name) quantize \(x.count), sums")
            }
        }
    }

    func testEverySetMultipliesAsTheReference() throws {
        var file = try GoldenFile("matvec")
        while file.hasMore {
            let shape = file.ints()
            let weights = file.bytes(), scales = file.floats(), bias = file.floats(), x = file.floats(),
                y = file.floats()
            let w = TestMatrix(weights, stride: shape[1], scales: scales, bias: bias.isEmpty ? nil : bias)
            forEverySet { set in
                let what = "\(set.name) \(shape)"
                let rows = TestRows(quantizing: x, set)
                assertSameBits(set.rowDots(w, nil, 0, shape[0], rows.row()), y, what)
                let all = (0..<Int32(shape[0])).map { $0 }
                assertSameBits(set.rowDots(w, all, 0, shape[0], rows.row()), y, what + ", gathered")
                for first in stride(from: 0, to: shape[0], by: set.tileRows) {
                    let count = min(set.tileRows, shape[0] - first)
                    let tile = set.tile(w, neurons: nil, first, count, rows, tokens: 1, outStride: count)
                    assertSameBits(tile, Array(y[first..<first + count]), what + ", tile")
                }
            }
        }
    }

    func testEverySetAddsUpNeuronsAsTheReference() throws {
        var file = try GoldenFile("matvec_neuron_major")
        while file.hasMore {
            let shape = file.ints()
            let weights = file.bytes(), scales = file.floats(), bias = file.floats()
            let active = file.int32s(), h = file.floats(), y = file.floats()
            let w = TestMatrix(weights, stride: shape[2], scales: scales, bias: bias.isEmpty ? nil : bias)
            forEverySet { set in
                let what = "\(set.name) \(shape), \(active.count) active"
                let rows = TestRows(quantizing: h, set)
                assertSameBits(set.neuronSums(w, active, active.count, shape[1], rows.row()), y, what)
                assertSameBits(
                    set.neuronSumsInPieces(w, active, active.count, shape[1], rows.row(), block: 64), y,
                    what + ", in pieces")
                guard active.count == shape[0] else { return }
                assertSameBits(set.neuronSums(w, nil, shape[0], shape[1], rows.row()), y, what + ", no list")
                for first in stride(from: 0, to: shape[1], by: set.tileRows) {
                    let count = min(set.tileRows, shape[1] - first)
                    let tile = set.tile(w, neurons: shape[0], first, count, rows, tokens: 1, outStride: count)
                    assertSameBits(tile, Array(y[first..<first + count]), what + ", tile")
                }
            }
        }
    }

    func testEverySetNormsAsTheReference() throws {
        var file = try GoldenFile("rms_norm")
        while file.hasMore {
            let x = file.floats(), w = file.floats(), epsilon = file.float(), y = file.floats()
            forEverySet { assertSameBits($0.rms(x, w, epsilon), y, "\($0.name) RMS norm of \(x.count)") }
        }
        file = try GoldenFile("layer_norm")
        while file.hasMore {
            let x = file.floats(), w = file.floats(), b = file.floats(), epsilon = file.float(), y = file.floats()
            forEverySet { assertSameBits($0.layer(x, w, b, epsilon), y, "\($0.name) layer norm of \(x.count)") }
        }
    }

    func testEverySetRotatesAsTheReference() throws {
        var file = try GoldenFile("rope")
        while file.hasMore {
            let x = file.floats(), cosines = file.floats(), sines = file.floats(), y = file.floats()
            forEverySet { assertSameBits($0.rotated(x, cosines, sines), y, "\($0.name) rope of \(x.count)") }
        }
    }

    func testEverySetAttendsToBytesAsTheReference() throws {
        var file = try GoldenFile("attention_int8")
        while file.hasMore {
            let shape = file.ints()
            let q = file.floats(), k = file.floats(), v = file.floats()
            let keys = file.bytes(), keyScales = file.floats(), values = file.bytes(), valueScales = file.floats()
            let wanted = file.floats()
            let (heads, kvHeads, d, positions) = (shape[0], shape[1], shape[2], shape[3])
            let width = (d + 15) / 16 * 16
            forEverySet { set in
                /// One head of [positions, kv heads, d], padded, as the set's own `toBytes` makes it.
                func stream(_ x: [Float], _ bytes: [Int8], _ scales: [Float], _ head: Int) -> ([Int8], [Float]) {
                    var stream = [Int8](repeating: 0, count: positions * width), own: [Float] = []
                    for t in 0..<positions {
                        let place = t * kvHeads + head
                        let range = place * d..<(place + 1) * d
                        stream.withUnsafeMutableBufferPointer { out in
                            own.append(set.toBytes(Array(x[range]), d, out.baseAddress! + t * width))
                        }
                        XCTAssertEqual(stream[t * width..<t * width + d], bytes[range], "\(set.name) bytes")
                        assertSameBits([own[t]], [scales[place]], "\(set.name) scale of bytes")
                    }
                    return (stream, own)
                }
                var out: [Float] = []
                for h in 0..<heads {
                    let (key, ks) = stream(k, keys, keyScales, h / (heads / kvHeads))
                    let (value, vs) = stream(v, values, valueScales, h / (heads / kvHeads))
                    let query = Array(q[h * d..<(h + 1) * d]) + [Float](repeating: 0, count: width - d)
                    let room = [Float](repeating: 1, count: -positions & 15)
                    let scores = set.scores(
                        [query], [positions], keys: blocks(key, width), scales: ks + room, width,
                        1 / Float(d).squareRoot())
                    let softmax = set.softmax(scores.scores[0], scores.largest[0])
                    let sum = set.weighted([softmax.weights], values: value, scales: vs, width, [softmax.total])[0]
                    out += sum.prefix(d)
                }
                assertSameBits(out, wanted, "\(set.name) attention to bytes \(shape)")
            }
        }
    }

    func testEverySetAttendsAsTheReference() throws {
        var file = try GoldenFile("attention")
        while file.hasMore {
            let shape = file.ints()
            let q = file.floats(), keys = file.halves(), values = file.halves(), wanted = file.floats()
            let (heads, kvHeads, d, positions) = (shape[0], shape[1], shape[2], shape[3])
            let width = (d + 15) / 16 * 16
            /// One head of [positions, kv heads, d], padded.
            func stream(_ all: [UInt16], _ head: Int) -> [UInt16] {
                (0..<positions).flatMap { t in
                    let start = (t * kvHeads + head) * d
                    return all[start..<start + d] + [UInt16](repeating: 0, count: width - d)
                }
            }
            forEverySet { set in
                var out: [Float] = []
                for h in 0..<heads {
                    let kv = h / (heads / kvHeads)
                    let query = q[h * d..<(h + 1) * d] + [Float](repeating: 0, count: width - d)
                    let scores = set.scores(
                        Array(query), stream(keys, kv), width, positions, 1 / Float(d).squareRoot())
                    let softmax = set.softmax(scores.scores, scores.largest)
                    out += set.weighted(softmax.weights, stream(values, kv), width, softmax.total).prefix(d)
                }
                assertSameBits(out, wanted, "\(set.name) attention \(shape)")
            }
        }
    }
}
