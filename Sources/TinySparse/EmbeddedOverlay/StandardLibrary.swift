// SPDX-License-Identifier: Apache-2.0

// Compiled into the executable: what the command line takes from the standard library and Embedded Swift lacks.

import Glibc

/// Without words: ProgramArguments.swift then finds them where the system put them.
enum CommandLine {
    static var arguments: [String] { [] }
}

enum ContinuousClock {
    struct Instant {
        fileprivate let time: timespec

        static func - (a: Instant, b: Instant) -> Interval {
            Interval(seconds: a.time.tv_sec - b.time.tv_sec, nanoseconds: a.time.tv_nsec - b.time.tv_nsec)
        }
    }

    struct Interval {
        fileprivate let seconds, nanoseconds: Int

        var components: (seconds: Int64, attoseconds: Int64) {
            (Int64(seconds), Int64(nanoseconds) * 1_000_000_000)
        }
    }

    static var now: Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(time: time)
    }
}
