// Compiled into the executable: what the command line takes from the standard library and Embedded Swift lacks.

import Glibc

enum CommandLine {
    /// The program's name and its arguments, as the system keeps them.
    static var arguments: [String] {
        let file = open("/proc/self/cmdline", O_RDONLY)
        guard file >= 0 else { return ["tinysparse"] }
        defer { close(file) }
        var bytes: [UInt8] = []
        while true {
            let count = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { chunk in
                let count = read(file, chunk.baseAddress!, chunk.count)
                bytes += chunk[..<max(count, 0)]
                return count
            }
            if count <= 0 { break }
        }
        // Every argument ends with a zero.
        return bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast()
            .map { String(decoding: $0, as: UTF8.self) }
    }
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
