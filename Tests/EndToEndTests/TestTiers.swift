// SPDX-License-Identifier: Apache-2.0

import Foundation
import XCTest

/// Two tiers of tests: a quick one, in debug builds, and all, in release builds or with TINYSPARSE_FULL_TESTS=1.
enum TestTier {
    #if DEBUG
    static let isFull = ProcessInfo.processInfo.environment["TINYSPARSE_FULL_TESTS"] == "1"
    #else
    static let isFull = true
    #endif

    /// Skips a test that takes too long for the quick tier.
    static func needFull() throws {
        if !isFull { throw XCTSkip("SKIPPED: in the full tier only: swift test -c release") }
    }

    /// How often to try something: a fiftieth in the quick tier.
    static func count(_ full: Int) -> Int { isFull ? full : max(full / 50, 1) }
}
