// SPDX-License-Identifier: Apache-2.0

/// Chooses by measurement whether passes of one token run on all threads or on the caller's alone.
///
/// A token of a model that fits the cache takes some hundred microseconds in dozens of jobs, at the end of each of which
/// threads wait for each other: whether that gains or loses depends on the machine, on what else runs on it, and on how many
/// neurons the text needs. So both ways are tried, at first for a few passes and then now and then, and the faster one is
/// kept. Passes that take longer than a millisecond gain from every thread, and try nothing. The results are the same bits.
package struct ThreadChoice {
    /// Whether the next pass should run on the caller's thread alone.
    package private(set) var isAlone = false
    /// Nanoseconds of a pass, of late; 0 if there was none.
    private var alone = 0.0, together = 0.0
    private var passes = 0

    /// Of so many passes the first ones are tries of the other way: 2, but 8 of the very first.
    private static let period = 64
    private static let longest = 1e6

    private var tries: Int { passes < Self.period ? 8 : 2 }
    private var prefersAlone: Bool { alone > 0 && together > 0 && alone < together }

    package init() {}

    /// Notes what a pass took, and chooses for the next.
    package mutating func passed(nanoseconds: Int) {
        let place = passes % Self.period
        // After a change of ways threads are asleep. (The very first pass tells at least how long one is.)
        if passes == 0 || place != 0 && place != tries { note(Double(nanoseconds)) }
        passes += 1
        let isTry = passes % Self.period < tries && together < Self.longest
        isAlone = isTry != prefersAlone
    }

    private mutating func note(_ time: Double) {
        func blend(_ average: Double) -> Double {
            // A pass whose thread lost its core for a while counts as one of twice the time.
            average == 0 ? time : average + (min(time, 2 * average) - average) / 8
        }
        if isAlone { alone = blend(alone) } else { together = blend(together) }
    }
}
