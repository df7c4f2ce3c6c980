// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import TinySupport

/// Speeds in tokens per second.
struct Speeds: CustomStringConvertible {
    let median, slowest, fastest: Double
    /// Each repetition beside the limits that were measured after it, if any were.
    let beside: [(speed: Double, limits: MachineLimits)]

    init(_ speeds: [Double], _ limits: [MachineLimits]) {
        let sorted = speeds.sorted()
        median = middle(sorted)
        slowest = sorted[0]
        fastest = sorted[sorted.count - 1]
        beside = Array(zip(speeds, limits)).map { (speed: $0, limits: $1) }
    }

    var description: String {
        "\(fixed(median)) tokens/s (\(fixed(slowest)) to \(fixed(fastest)))"
    }

    /// The machine's limit and the share of it that was reached: medians, the share of each repetition's pairs.
    /// - Parameter perToken: what a token needs of it.
    func share(of limit: (MachineLimits) -> Double, perToken: Int) -> (limit: Double, share: Double)? {
        guard !beside.isEmpty else { return nil }
        let limits = beside.map { limit($0.limits) }
        let shares = beside.map { $0.speed * Double(perToken) / limit($0.limits) }
        return (middle(limits.sorted()), middle(shares.sorted()))
    }
}

extension Optional<Speeds> {
    func json(_ field: (Speeds) -> Double) -> JSON {
        map { .double(field($0)) } ?? .null
    }
}

/// The median of sorted numbers; at least one.
private func middle(_ sorted: [Double]) -> Double {
    let half = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

extension BenchReport {
    private var decodeLimit: (limit: Double, share: Double)? {
        decode?.share(of: { $0.readBytes }, perToken: bytesPerToken)
    }
    private var prefillLimit: (limit: Double, share: Double)? {
        prefill?.share(of: { $0.multiplyAdds }, perToken: model.multiplyAddsPerPrefillToken)
    }

    var limitLines: [String] {
        var lines: [String] = []
        if let (limit, share) = prefillLimit {
            lines.append(
                "prefill reaches \(fixed(100 * share)) % of the int8 peak, \(fixed(limit / 1e9)) billion multiply-adds/s"
            )
        }
        if let (limit, share) = decodeLimit {
            lines.append("decode reaches \(fixed(100 * share)) % of the read bandwidth, \(fixed(limit / 1e9)) GB/s")
        }
        return lines
    }

    var limitsJSON: JSON {
        guard prefillLimit != nil || decodeLimit != nil else { return .null }
        func json(_ value: Double?) -> JSON { value.map { .double($0) } ?? .null }
        return .object([
            ("read_bytes_per_second", json(decodeLimit?.limit)), ("decode_share", json(decodeLimit?.share)),
            ("multiply_adds_per_second", json(prefillLimit?.limit)), ("prefill_share", json(prefillLimit?.share)),
        ])
    }
}
