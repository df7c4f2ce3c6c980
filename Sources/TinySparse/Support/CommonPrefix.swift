// SPDX-License-Identifier: Apache-2.0

extension Collection where Element: Equatable {
    /// How many elements two collections have in common at their beginnings. O(that).
    package func commonPrefix(with other: some Collection<Element>) -> Int {
        var count = 0
        for (a, b) in zip(self, other) {
            if a != b { break }
            count += 1
        }
        return count
    }
}
