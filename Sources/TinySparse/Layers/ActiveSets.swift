/// For each token of a block, the ascending list of what is active: neurons, or heads.
final class ActiveSets {
    /// Of how many the lists choose.
    let total: Int
    private let lists: AlignedBuffer<Int32>
    private var counts: [Int]

    init(total: Int, capacity: Int) throws(RuntimeError) {
        self.total = total
        lists = try AlignedBuffer(capacity * total)
        counts = [Int](repeating: 0, count: capacity)
    }

    func count(_ token: Int) -> Int { counts[token] }

    func list(_ token: Int) -> UnsafePointer<Int32> { UnsafePointer(lists.pointer + token * total) }

    func contains(_ member: Int, token: Int) -> Bool {
        let list = UnsafeBufferPointer(start: list(token), count: counts[token])
        return list.contains(Int32(member))
    }

    /// Makes a token's list those members for which `isActive` holds.
    func choose(_ token: Int, where isActive: (Int) -> Bool) {
        let list = lists.pointer + token * total
        var count = 0
        for member in 0..<total {
            list[count] = Int32(member)
            count += isActive(member) ? 1 : 0
        }
        counts[token] = count
    }

    /// Makes a token's list a given one: ascending, within `total`.
    func set(_ token: Int, _ members: [Int32]) {
        (lists.pointer + token * total).update(from: members, count: members.count)
        counts[token] = members.count
    }
}
