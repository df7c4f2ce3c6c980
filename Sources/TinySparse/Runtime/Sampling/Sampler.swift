// SPDX-License-Identifier: Apache-2.0

/// How the next token is chosen from logits.
public struct SamplingOptions: Sendable {
    /// 0 chooses the most likely token always; higher is more varied.
    public var temperature: Float = 0.7
    /// Only the k most likely tokens; 0 for all.
    public var topK = 40
    /// Only the most likely tokens that together have this probability; 1 for all.
    public var topP: Float = 0.95
    /// Only tokens at least this likely in proportion to the most likely one; 0 for all.
    public var minP: Float = 0.05
    /// Divides the logits (multiplies, if negative) of tokens among the last `repeatWindow`; 1 for none. What would be
    /// infinite becomes the largest finite number.
    public var repeatPenalty: Float = 1
    /// How many of the last tokens `repeatPenalty` looks at.
    public var repeatWindow = 64
    /// The same seed, options and text give the same tokens on every machine.
    public var seed: UInt64 = 0

    /// The defaults above.
    public init() {}

    /// The most likely token, always.
    public static var greedy: SamplingOptions {
        var options = SamplingOptions()
        options.temperature = 0
        return options
    }

    /// How many of the largest logits decide what is chosen; 0 for all.
    ///
    /// A penalty that makes tokens less likely may take as many out of the first k as it has seen, and lets others
    /// in; one that makes them more likely may lift any.
    var topLogits: Int {
        let few = temperature == 0 ? 1 : topK
        guard few > 0, repeatPenalty != 1 else { return few }
        return repeatPenalty > 1 && repeatWindow < Int.max - few ? few + repeatWindow : 0
    }

    func check() throws(RuntimeError) {
        func require(_ good: Bool, _ text: String) throws(RuntimeError) {
            if !good { throw .badOption(text) }
        }
        try require(temperature >= 0 && temperature <= 100, "temperature \(temperature) is not in 0...100")
        try require(topK >= 0, "top-k \(topK) is negative")
        try require(topP > 0 && topP <= 1, "top-p \(topP) is not above 0 and at most 1")
        try require(minP >= 0 && minP <= 1, "min-p \(minP) is not in 0...1")
        try require(
            repeatPenalty > 0 && repeatPenalty <= 100, "repeat penalty \(repeatPenalty) is not above 0 and at most 100")
        try require(repeatWindow >= 0, "repeat window \(repeatWindow) is negative")
    }
}

/// Chooses tokens. The filters apply in the order penalty, top-k, top-p, min-p, temperature. All options within their
/// ranges and all finite logits give a token.
package struct Sampler {
    private let options: SamplingOptions
    /// How many of the largest logits decide what is chosen; 0 for all.
    let topLogits: Int
    private var random: SplitMix64

    package init(_ options: SamplingOptions) throws(RuntimeError) {
        try options.check()
        self.options = options
        topLogits = options.topLogits
        random = SplitMix64(state: options.seed)
    }

    private struct Candidate {
        let id: Int32
        let logit: Float

        @inline(__always)
        init(_ id: Int32, _ logits: UnsafeBufferPointer<Float>, _ penalized: [Int32: Float]) {
            self.id = id
            logit = penalized.isEmpty ? logits[Int(id)] : penalized[id] ?? logits[Int(id)]
        }

        /// More likely first; of equals, the lower id.
        static func precedes(_ a: Candidate, _ b: Candidate) -> Bool {
            a.logit != b.logit ? a.logit > b.logit : a.id < b.id
        }
    }

    /// Chooses after `history`. O(vocabulary), O(vocabulary log vocabulary) without a top-k.
    /// - Throws: `RuntimeError.nonFiniteLogits`.
    package mutating func next(
        _ logits: UnsafeBufferPointer<Float>, history: [Int32]
    ) throws(RuntimeError) -> Int32 {
        guard areFinite(logits) else { throw .nonFiniteLogits(position: history.count - 1) }
        let penalized = penalties(logits, history)
        if isGreedy, penalized.isEmpty { return Int32(argmax(logits.baseAddress!, logits.count)) }
        return choose(of: mostLikely(wanted(of: logits.count), logits, penalized))
    }

    /// The same among some tokens, as if the logits of all others were minus infinity.
    /// - Parameter ids: at least one, each once.
    package mutating func next(
        _ logits: UnsafeBufferPointer<Float>, history: [Int32], among ids: [Int32]
    ) throws(RuntimeError) -> Int32 {
        guard areFinite(logits) else { throw .nonFiniteLogits(position: history.count - 1) }
        let penalized = penalties(logits, history)
        let k = wanted(of: ids.count)
        var best: [Candidate] = []
        if k <= Self.mostInserted {
            for id in ids { Self.insert(Candidate(id, logits, penalized), into: &best, k) }
        } else {
            best = ids.map { Candidate($0, logits, penalized) }.sorted(by: Candidate.precedes)
            best.removeSubrange(k...)
        }
        return choose(of: best)
    }

    /// The `count` most likely tokens after `history`, the most likely one first.
    package func mostLikely(_ count: Int, _ logits: UnsafeBufferPointer<Float>, history: [Int32]) -> [Int32] {
        mostLikely(min(count, logits.count), logits, penalties(logits, history)).map { $0.id }
    }

    private var isGreedy: Bool { options.temperature == 0 || options.topK == 1 }

    /// How many of so many candidates are looked at.
    private func wanted(of count: Int) -> Int {
        isGreedy ? min(1, count) : options.topK == 0 ? count : min(options.topK, count)
    }

    /// Chooses one of the top-k candidates, sorted.
    private mutating func choose(of candidates: [Candidate]) -> Int32 {
        if isGreedy { return candidates[0].id }
        var candidates = candidates
        cut(&candidates)
        let largest = candidates[0].logit
        let weights = candidates.map {
            Double64.exp(max(Double($0.logit - largest) / Double(options.temperature), -600))
        }
        var point = random.nextUnit() * weights.reduce(0, +)
        for (candidate, weight) in zip(candidates, weights) {
            point -= weight
            if point < 0 { return candidate.id }
        }
        return candidates[candidates.count - 1].id
    }

    /// The logits of the tokens that are penalized.
    private func penalties(_ logits: UnsafeBufferPointer<Float>, _ history: [Int32]) -> [Int32: Float] {
        guard options.repeatPenalty != 1 else { return [:] }
        var result: [Int32: Float] = [:]
        for id in Set(history.suffix(options.repeatWindow)) {
            let logit = logits[Int(id)]
            let penalized = logit > 0 ? logit / options.repeatPenalty : logit * options.repeatPenalty
            result[id] = min(max(penalized, -.greatestFiniteMagnitude), .greatestFiniteMagnitude)
        }
        return result
    }

    /// More candidates are sorted; fewer are inserted into an ordered list of the best so far.
    private static let mostInserted = 1024

    /// The k most likely candidates, sorted.
    private func mostLikely(
        _ k: Int, _ logits: UnsafeBufferPointer<Float>, _ penalized: [Int32: Float]
    ) -> [Candidate] {
        let count = logits.count
        guard k < count, k <= Self.mostInserted else {
            let all = (0..<count).map { Candidate(Int32($0), logits, penalized) }
            return Array(all.sorted(by: Candidate.precedes).prefix(k))
        }
        var best: [Candidate] = []
        best.reserveCapacity(k + 1)
        var next = 0
        while next < count {
            // Sixteen at a time are passed over if none of them enters.
            if best.count == k, penalized.isEmpty, next + 16 <= count,
                !any(sixteen(logits.baseAddress! + next) .> best[k - 1].logit)
            {
                next += 16
                continue
            }
            Self.insert(Candidate(Int32(next), logits, penalized), into: &best, k)
            next += 1
        }
        return best
    }

    /// Inserts a candidate into the k best so far, which a new one rarely enters.
    @inline(__always)
    private static func insert(_ candidate: Candidate, into best: inout [Candidate], _ k: Int) {
        if best.count == k, !Candidate.precedes(candidate, best[k - 1]) { return }
        var low = 0, high = best.count
        while low < high {
            let middle = (low + high) / 2
            if Candidate.precedes(best[middle], candidate) { low = middle + 1 } else { high = middle }
        }
        best.insert(candidate, at: low)
        if best.count > k { best.removeLast() }
    }

    /// Top-p and min-p; at least one candidate stays.
    private func cut(_ candidates: inout [Candidate]) {
        let largest = candidates[0].logit
        let weights = candidates.map { Double64.exp(max(Double($0.logit - largest), -600)) }
        let enough = weights.reduce(0, +) * Double(options.topP)
        var kept = 0
        var sum = 0.0
        while kept < candidates.count, kept == 0 || (sum < enough && weights[kept] >= Double(options.minP)) {
            sum += weights[kept]
            kept += 1
        }
        candidates.removeSubrange(kept...)
    }
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators (OOPSLA 2014).
package struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    package init(state: UInt64) { self.state = state }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// In 0 ..< 1.
    mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }
}

/// Whether none of the logits is infinite or no number. O(count), vectorizes.
func areFinite(_ logits: UnsafeBufferPointer<Float>) -> Bool {
    var largest: UInt32 = 0
    for logit in logits { largest = max(largest, logit.magnitude.bitPattern) }
    return largest < Float.infinity.bitPattern
}

/// The index of the largest of `count` logits; of equals, the first. O(count).
package func argmax(_ logits: UnsafePointer<Float>, _ count: Int) -> Int {
    var most = SIMD16<Float>(repeating: -.infinity)
    var i = 0
    while i + 16 <= count {
        let v = sixteen(logits + i)
        most.replace(with: v, where: v .> most)
        i += 16
    }
    var largest = most.max()  // -infinity if there are fewer than sixteen
    while i < count {
        largest = logits[i] > largest ? logits[i] : largest
        i += 1
    }
    i = 0
    while i < count, logits[i] != largest { i += 1 }
    return i < count ? i : 0
}

@inline(__always)
private func sixteen(_ p: UnsafePointer<Float>) -> SIMD16<Float> {
    UnsafeRawPointer(p).loadUnaligned(as: SIMD16<Float>.self)
}
