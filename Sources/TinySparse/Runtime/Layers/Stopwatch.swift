import TinyPlatform

/// Where a forward pass spends its time.
package enum Stage: Int, CaseIterable, Sendable {
    case embedding
    /// Naming neurons and heads; neurons chosen by gates count as `mlp`.
    case prediction
    /// With the norms before and after it.
    case attention
    case mlp
    /// The final norm and the logits.
    case head
}

/// Adds up the time between laps by stage. A lap costs one look at the clock, some tens of nanoseconds.
struct Stopwatch {
    private var last = now
    /// Seconds by `Stage.rawValue`.
    private(set) var seconds = [Double](repeating: 0, count: Stage.allCases.count)

    /// Time from here on is not of what came before.
    mutating func start() { last = Self.now }

    /// The time since the last lap belongs to `stage`.
    mutating func lap(_ stage: Stage) {
        let time = Self.now
        seconds[stage.rawValue] += Double(time - last) * 1e-9
        last = time
    }

    private static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int(time.tv_sec) * 1_000_000_000 + Int(time.tv_nsec)
    }
}
