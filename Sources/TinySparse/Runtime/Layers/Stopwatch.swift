// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

/// Where a forward pass spends its time.
package enum Stage: Int, CaseIterable, Sendable, CustomStringConvertible {
    case embedding
    /// Selecting neurons and heads; a selection by gates counts as `mlp`.
    case prediction
    /// With the norms before and after it.
    case attention
    case mlp
    /// The final norm and the logits.
    case head

    /// Its name. (Embedded Swift does not know the names of cases.)
    package var description: String {
        switch self {
        case .embedding: "embedding"
        case .prediction: "prediction"
        case .attention: "attention"
        case .mlp: "mlp"
        case .head: "head"
        }
    }
}

/// Adds up time by stage. Measuring costs two looks at the clock a stage, some tens of nanoseconds.
package struct Stopwatch {
    /// Seconds by `Stage.rawValue`.
    package private(set) var seconds = [Double](repeating: 0, count: Stage.allCases.count)

    /// - Parameter time: nanoseconds.
    mutating func add(_ time: Int, to stage: Stage) { seconds[stage.rawValue] += Double(time) * 1e-9 }

    /// A steady clock, in nanoseconds.
    static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int(time.tv_sec) * 1_000_000_000 + Int(time.tv_nsec)
    }
}
