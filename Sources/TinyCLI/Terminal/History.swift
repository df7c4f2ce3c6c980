// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// The messages that were sent, the oldest first, and their form in a file: one a line, with `\n` and `\\` for line breaks
/// and backslashes.
package struct History: Equatable, Sendable {
    package private(set) var entries: [String] = []

    /// Most messages that are kept, and most bytes of one.
    package static let limit = 1000
    package static let longestEntry = 1 << 16

    package init() {}

    /// What a file says; bytes that are not UTF-8 are repaired.
    package init(file: [UInt8]) {
        for line in file.split(separator: UInt8(ascii: "\n")).suffix(Self.limit) {
            add(Self.decoded(String(decoding: line, as: UTF8.self)))
        }
    }

    /// Adds a message, unless it is empty, too long or the latest one.
    /// - Returns: whether it was added.
    @discardableResult
    package mutating func add(_ entry: String) -> Bool {
        guard !entry.isEmpty, entry.utf8.count <= Self.longestEntry, entry != entries.last else { return false }
        entries.append(entry)
        if entries.count > Self.limit { entries.removeFirst() }
        return true
    }

    /// The line of a file that stands for a message, with its line break.
    package static func line(_ entry: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in entry.unicodeScalars {
            switch scalar {
            case "\n": result.append(contentsOf: "\\n".unicodeScalars)
            case "\\": result.append(contentsOf: "\\\\".unicodeScalars)
            default: result.append(scalar)
            }
        }
        return String(result) + "\n"
    }

    private static func decoded(_ line: String) -> String {
        var result = String.UnicodeScalarView()
        var isEscaped = false
        for scalar in line.unicodeScalars where isEscaped || scalar == "\t" || !scalar.isTerminalControl {
            if isEscaped {
                result.append(scalar == "n" ? "\n" : scalar)
                isEscaped = false
            } else if scalar == "\\" {
                isEscaped = true
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }
}
