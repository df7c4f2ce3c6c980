// SPDX-License-Identifier: Apache-2.0

// Keys and values outside of a cache, in an order that depends on nothing but the model: a record has some adjacent
// positions of one layer.
//
//     half:   keys [head][position][headDim], values likewise; UInt16, the bits of halfs
//     int8:   scales of keys [head][position], of values likewise; Float. Then keys and values as above; Int8
//
// Little-endian, without padding.

extension KVCache {
    private var heads: Int { pages.heads }
    private var headDim: Int { pages.headDim }

    /// Bytes of a record of `count` positions.
    func recordBytes(_ count: Int) -> Int {
        let rows = 2 * pages.heads * count
        return switch pages.type {
        case .half: rows * pages.headDim * MemoryLayout<UInt16>.stride
        case .int8: rows * (pages.headDim + MemoryLayout<Float>.stride)
        }
    }

    /// Copies some positions of a layer to a record.
    /// - Parameter record: `recordBytes(positions.count)` bytes, aligned for `Float`.
    func write(_ layer: Int, _ positions: Range<Int>, to record: UnsafeMutableRawPointer) {
        switch (pages.keys, pages.values) {
        case (.half(let k), .half(let v)):
            pack(
                k, v, layer, positions,
                to: record.bindMemory(to: UInt16.self, capacity: 2 * heads * positions.count * headDim))
        case (.int8(let k, let keyScales), .int8(let v, let valueScales)):
            let count = positions.count, rows = heads * count
            let scales = record.bindMemory(to: Float.self, capacity: 2 * rows)
            for head in 0..<heads {
                for (i, position) in positions.enumerated() {
                    let place = place(layer, head, position)
                    scales[head * count + i] = keyScales[place]
                    scales[rows + head * count + i] = valueScales[place]
                }
            }
            pack(
                k, v, layer, positions,
                to: UnsafeMutableRawPointer(scales + 2 * rows).bindMemory(to: Int8.self, capacity: 2 * rows * headDim))
        default: fatalError("keys and values of two types")
        }
    }

    /// Takes over some positions of a layer from a record, whose first ones they are.
    /// - Parameter stored: how many positions the record has.
    func read(_ layer: Int, _ positions: Range<Int>, stored: Int, from record: UnsafeRawPointer) {
        switch (pages.keys, pages.values) {
        case (.half(let k), .half(let v)):
            unpack(
                record.bindMemory(to: UInt16.self, capacity: 2 * heads * stored * headDim), stored, layer, positions,
                to: k, v)
        case (.int8(let k, let keyScales), .int8(let v, let valueScales)):
            let rows = heads * stored
            let scales = record.bindMemory(to: Float.self, capacity: 2 * rows)
            for head in 0..<heads {
                for (i, position) in positions.enumerated() {
                    let place = place(layer, head, position)
                    keyScales[place] = scales[head * stored + i]
                    valueScales[place] = scales[rows + head * stored + i]
                }
            }
            let numbers = UnsafeRawPointer(scales + 2 * rows).bindMemory(to: Int8.self, capacity: 2 * rows * headDim)
            unpack(numbers, stored, layer, positions, to: k, v)
        default: fatalError("keys and values of two types")
        }
    }

    /// Whether a record of `count` positions holds what a cache can hold: finite halfs; bytes but -128, and scales that are
    /// finite and not negative.
    func isValid(_ record: UnsafeRawPointer, _ count: Int) -> Bool {
        let rows = 2 * heads * count
        // Without branches, which would keep the loops from vectors.
        var found: UInt32 = 0
        switch pages.type {
        case .half:
            let halfs = record.bindMemory(to: UInt16.self, capacity: rows * headDim)
            for i in 0..<rows * headDim { found |= halfs[i] & 0x7C00 == 0x7C00 ? 1 : 0 }
        case .int8:
            let scales = record.bindMemory(to: UInt32.self, capacity: rows)
            // Infinity, what is no number, and the sign, are above all others.
            for i in 0..<rows { found |= scales[i] >= Float.infinity.bitPattern ? 1 : 0 }
            let bytes = (record + rows * MemoryLayout<Float>.stride).bindMemory(
                to: UInt8.self, capacity: rows * headDim)
            for i in 0..<rows * headDim { found |= bytes[i] == 0x80 ? 1 : 0 }
        }
        return found == 0
    }

    private func pack<Number>(
        _ keys: UnsafePointer<Number>, _ values: UnsafePointer<Number>, _ layer: Int, _ positions: Range<Int>,
        to numbers: UnsafeMutablePointer<Number>
    ) {
        let valueNumbers = numbers + heads * positions.count * headDim
        for head in 0..<heads {
            for (i, position) in positions.enumerated() {
                let row = (head * positions.count + i) * headDim, place = place(layer, head, position)
                pages.gather(keys, place, into: numbers + row)
                (valueNumbers + row).update(from: values + place * pages.width, count: headDim)
            }
        }
    }

    private func unpack<Number>(
        _ numbers: UnsafePointer<Number>, _ stored: Int, _ layer: Int, _ positions: Range<Int>,
        to keys: UnsafeMutablePointer<Number>, _ values: UnsafeMutablePointer<Number>
    ) {
        let valueNumbers = numbers + heads * stored * headDim
        for head in 0..<heads {
            for (i, position) in positions.enumerated() {
                let row = (head * stored + i) * headDim, place = place(layer, head, position)
                pages.spread(numbers + row, into: keys, place)
                (values + place * pages.width).update(from: valueNumbers + row, count: headDim)
            }
        }
    }
}
