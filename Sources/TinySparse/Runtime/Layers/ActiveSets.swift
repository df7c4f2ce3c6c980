// SPDX-License-Identifier: Apache-2.0

import SIMDKernels

/// Which neurons or heads of a layer are computed for each token of a block.
package enum Selection {
    case all
    case indices(ActiveSets)

    /// Below this many tokens, what is selected is computed token by token. More tokens select nearly everything between
    /// them, and are cheaper dense.
    static let fewTokens = 4
}

/// For each token of a block, the ascending list of what is active: neurons, or heads.
package final class ActiveSets {
    /// Of how many the lists choose.
    let total: Int
    private let lists: AlignedBuffer<Int32>
    private let counts: AlignedBuffer<Int>
    /// From one list to the next: up to sixteen numbers past the end may be written over.
    private let stride: Int

    package init(total: Int, capacity: Int, in memory: SessionMemory? = nil) throws(RuntimeError) {
        self.total = total
        stride = total + 16
        lists = try AlignedBuffer(capacity * stride, in: memory)
        counts = try AlignedBuffer(capacity, in: memory)
    }

    package func count(_ token: Int) -> Int { counts.pointer[token] }

    func list(_ token: Int) -> UnsafePointer<Int32> { UnsafePointer(lists.pointer + token * stride) }

    func contains(_ member: Int, token: Int) -> Bool {
        let list = UnsafeBufferPointer(start: list(token), count: count(token))
        return list.contains(Int32(member))
    }

    /// Makes a token's list those members whose score is at least `least`. Tokens may be chosen for at the same time.
    func choose(_ token: Int, _ scores: UnsafePointer<Float>, atLeast least: Float, _ kernels: KernelTable) {
        counts.pointer[token] = kernels.indicesAtLeast(scores, total, least, lists.pointer + token * stride)
    }

    /// Makes a token's list the members of some groups of `size`: group g holds those from g * size on.
    func expand(_ token: Int, _ groups: ActiveSets, of size: Int) {
        let list = lists.pointer + token * stride, count = groups.count(token), chosen = groups.list(token)
        let step = SIMD8<Int32>(0, 1, 2, 3, 4, 5, 6, 7)
        for i in 0..<count {
            // Eight at a time; what is written too much the next group writes over, or lies past the end.
            let first = step &+ chosen[i] &* Int32(truncatingIfNeeded: size)
            var member = 0
            while member < size {
                UnsafeMutableRawPointer(list + (i &* size &+ member))
                    .storeBytes(of: first &+ Int32(truncatingIfNeeded: member), as: SIMD8<Int32>.self)
                member &+= 8
            }
        }
        counts.pointer[token] = count * size
    }

    /// Makes a token's list a given one: ascending, within `total`.
    package func set(_ token: Int, _ members: [Int32]) {
        (lists.pointer + token * stride).update(from: members, count: members.count)
        counts.pointer[token] = members.count
    }
}

// MARK: The largest

extension ActiveSets {
    /// Makes a token's list a share of the members, those with the largest values; of equals, the first.
    /// O(total).
    package func chooseLargest(_ token: Int, share: Double, _ values: UnsafePointer<Float>, _ kernels: KernelTable) {
        let count = min(Int((Double(total) * share).rounded(.up)), total)
        guard count > 0 else { return set(token, []) }
        let least = largest(count, of: values)
        choose(token, values, atLeast: least, kernels)
        cut(token, to: count, values, least: least)
    }

    /// Takes members with a score of `least` out of a token's list, the last ones first, until `most` are left.
    private func cut(_ token: Int, to most: Int, _ scores: UnsafePointer<Float>, least: Float) {
        let list = lists.pointer + token * stride, count = counts.pointer[token]
        var surplus = count - most
        guard surplus > 0 else { return }
        var first = count
        for i in (0..<count).reversed() {
            if surplus > 0, scores[Int(list[i])] == least {
                surplus -= 1
            } else {
                first -= 1
                list[first] = list[i]
            }
        }
        list.update(from: list + first, count: count - first)
        counts.pointer[token] = count - first
    }

    /// The value that `rank` of all values reach: they fall into bins by their upper bits, and only the bin that holds
    /// the wanted one is sorted.
    private func largest(_ rank: Int, of values: UnsafePointer<Float>) -> Float {
        /// Upper bits that order as the values do.
        func bin(_ x: Float) -> Int {
            let bits = x.bitPattern
            return Int((bits ^ (bits >> 31 == 0 ? 0x8000_0000 : 0xFFFF_FFFF)) >> 20)
        }
        return withUnsafeTemporaryAllocation(of: Int32.self, capacity: 4096) { sizes in
            sizes.initialize(repeating: 0)
            for i in 0..<total { sizes[bin(values[i])] += 1 }
            var wanted = 4095, left = rank
            while left > Int(sizes[wanted]) {
                left -= Int(sizes[wanted])
                wanted -= 1
            }
            return withUnsafeTemporaryAllocation(of: Float.self, capacity: Int(sizes[wanted])) { members in
                var count = 0
                for i in 0..<total where bin(values[i]) == wanted {
                    members.initializeElement(at: count, to: values[i])
                    count += 1
                }
                var values = members
                values.sort(by: >)
                return values[left - 1]
            }
        }
    }
}
