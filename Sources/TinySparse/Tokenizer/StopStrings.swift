// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Watches a stream of text for strings that end it.
///
/// The stop string that is complete first ends the text, the longest one if several are complete at
/// the same byte. Text that may be the beginning of a stop string is withheld until it is clear
/// that it is not. However the stream is cut, the outcome is the same. Feeding n bytes costs O(n ·
/// number of stop strings), whatever their lengths (Knuth, Morris and Pratt).
package struct StopStrings: Sendable {
    /// What may be shown after feeding a piece of text.
    package struct Output: Sendable, Equatable {
        /// The text that can be shown.
        package let text: String
        /// The stop string that has been hit, if one has; the text then ends just before it.
        package let stop: String?

        package init(text: String, stop: String?) {
            self.text = text
            self.stop = stop
        }
    }

    /// A stop string, and how much of it the text ends with.
    private struct Stop: Sendable {
        let bytes: [UInt8]
        private let borders: [Int]
        private(set) var matched = 0

        /// - Parameter bytes: at least one.
        init(_ bytes: [UInt8]) {
            self.bytes = bytes
            borders = bytes.borders
        }

        /// Takes the next byte of the text, and says whether the string is complete with it, which ends the text.
        mutating func feed(_ byte: UInt8) -> Bool {
            while matched > 0, bytes[matched] != byte { matched = borders[matched - 1] }
            if bytes[matched] == byte { matched += 1 }
            return matched == bytes.count
        }
    }

    /// Longest first.
    private var stops: [Stop]
    /// The text not yet shown: the beginning of a stop string.
    private var held: [UInt8] = []
    private var hit: String?

    /// - Parameter stops: the stop strings; empty ones are ignored.
    package init(_ stops: [String]) {
        self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
            .sorted { $0.count > $1.count }.map { Stop($0) }
    }

    /// Takes the next piece of text. After a stop string has been hit nothing more comes out.
    package mutating func feed(_ text: String) -> Output {
        if let hit { return Output(text: "", stop: hit) }
        for byte in text.utf8 {
            held.append(byte)
            for index in stops.indices where stops[index].feed(byte) {
                let stop = stops[index].bytes
                hit = String(decoding: stop, as: UTF8.self)
                held.removeLast(stop.count)
                return Output(text: release(held.count), stop: hit)
            }
        }
        return Output(text: release(held.count - stops.reduce(0) { max($0, $1.matched) }), stop: nil)
    }

    /// Ends the stream and returns what was withheld.
    package mutating func finish() -> String { release(held.count) }

    private mutating func release(_ count: Int) -> String {
        let text = String(decoding: held[..<count], as: UTF8.self)
        held.removeFirst(count)
        return text
    }
}
