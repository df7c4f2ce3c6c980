// SPDX-License-Identifier: Apache-2.0

// Compiled into TinyPlatform: what the other modules take from the standard library and Embedded Swift lacks.

import Glibc

/// Without words: ProgramArguments.swift then finds them where the system put them.
public enum CommandLine {
    public static var arguments: [String] { [] }
}

public enum ContinuousClock {
    public struct Instant {
        fileprivate let time: timespec

        public static func - (a: Instant, b: Instant) -> Interval {
            Interval(seconds: a.time.tv_sec - b.time.tv_sec, nanoseconds: a.time.tv_nsec - b.time.tv_nsec)
        }
    }

    public struct Interval {
        fileprivate let seconds, nanoseconds: Int

        public var components: (seconds: Int64, attoseconds: Int64) {
            (Int64(seconds), Int64(nanoseconds) * 1_000_000_000)
        }
    }

    public static var now: Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(time: time)
    }
}

extension DefaultStringInterpolation {
    /// A list as the standard library writes it elsewhere, `[1, 2]`; Embedded Swift would write that it cannot.
    public mutating func appendInterpolation(_ list: [some CustomStringConvertible]) {
        appendLiteral("[" + list.map { $0.description }.joined(separator: ", ") + "]")
    }
}

/// A value that one thread uses at a time; the module Synchronization for Embedded Swift has no more than atomics.
public struct Mutex<Value>: ~Copyable, @unchecked Sendable {
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let value: UnsafeMutablePointer<Value>

    public init(_ initial: Value) {
        lock = .allocate(capacity: 1)
        lock.initialize(to: pthread_mutex_t())
        pthread_mutex_init(lock, nil)
        value = .allocate(capacity: 1)
        value.initialize(to: initial)
    }

    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
        value.deinitialize(count: 1)
        value.deallocate()
    }

    public borrowing func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return try body(&value.pointee)
    }
}
