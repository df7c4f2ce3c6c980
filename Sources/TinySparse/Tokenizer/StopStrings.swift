// SPDX-License-Identifier: Apache-2.0

/// Watches a stream of text for strings that end it.
///
/// The stop string that is complete first ends the text, the longest one if several are complete at
/// the same byte. Text that may be the beginning of a stop string is withheld until it is clear
/// that it is not. However the stream is cut, the outcome is the same. Feeding n bytes costs O(n ·
/// total length of the stop strings) at worst.
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

    /// Longest first.
    private let stops: [[UInt8]]
    /// The text not yet shown: the beginning of a stop string.
    private var held: [UInt8] = []
    private var hit: String?

    /// - Parameter stops: the stop strings; empty ones are ignored.
    package init(_ stops: [String]) {
        self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }.sorted {
            $0.count > $1.count
        }
    }

    /// Takes the next piece of text. After a stop string has been hit nothing more comes out.
    package mutating func feed(_ text: String) -> Output {
        if let hit { return Output(text: "", stop: hit) }
        let old = held.count
        held += text.utf8
        for end in old..<held.count {
            for stop in stops where stop.last == held[end] && held[...end].ends(with: stop) {
                hit = String(decoding: stop, as: UTF8.self)
                let shown = String(decoding: held[..<(end + 1 - stop.count)], as: UTF8.self)
                held = []
                return Output(text: shown, stop: hit)
            }
        }
        return Output(text: release(held.count - pendingCount), stop: nil)
    }

    /// Ends the stream and returns what was withheld.
    package mutating func finish() -> String { release(held.count) }

    /// The length of the longest end of the text that is the beginning of a stop string.
    private var pendingCount: Int {
        let longest = min(held.count, (stops.first?.count ?? 1) - 1)
        for count in stride(from: longest, to: 0, by: -1) {
            let tail = held.suffix(count)
            if stops.contains(where: { $0.starts(with: tail) }) { return count }
        }
        return 0
    }

    private mutating func release(_ count: Int) -> String {
        let text = String(decoding: held[..<count], as: UTF8.self)
        held.removeFirst(count)
        return text
    }
}

extension ArraySlice<UInt8> {
    fileprivate func ends(with other: [UInt8]) -> Bool {
        count >= other.count && suffix(other.count).elementsEqual(other)
    }
}
