import SIMDKernels

/// For each token of a block, the ascending list of what is active: neurons, or heads.
final class ActiveSets {
    /// Of how many the lists choose.
    let total: Int
    private let lists: AlignedBuffer<Int32>
    private let counts: AlignedBuffer<Int>
    /// From one list to the next: up to sixteen numbers past the end may be written over.
    private let stride: Int

    init(total: Int, capacity: Int) throws(RuntimeError) {
        self.total = total
        stride = total + 16
        lists = try AlignedBuffer(capacity * stride)
        counts = try AlignedBuffer(capacity)
    }

    func count(_ token: Int) -> Int { counts.pointer[token] }

    func list(_ token: Int) -> UnsafePointer<Int32> { UnsafePointer(lists.pointer + token * stride) }

    func contains(_ member: Int, token: Int) -> Bool {
        let list = UnsafeBufferPointer(start: list(token), count: count(token))
        return list.contains(Int32(member))
    }

    /// Makes a token's list those members whose score is at least `least`. Tokens may be chosen for at the same time.
    func choose(_ token: Int, _ scores: UnsafePointer<Float>, atLeast least: Float, _ kernels: KernelTable) {
        counts.pointer[token] = kernels.indicesAtLeast(scores, total, least, lists.pointer + token * stride)
    }

    /// Takes members with a score of `least` out of a token's list, the last ones first, until `most` are left.
    func cut(_ token: Int, to most: Int, _ scores: UnsafePointer<Float>, least: Float) {
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
    func set(_ token: Int, _ members: [Int32]) {
        (lists.pointer + token * stride).update(from: members, count: members.count)
        counts.pointer[token] = members.count
    }
}
