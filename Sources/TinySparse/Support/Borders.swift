// SPDX-License-Identifier: Apache-2.0

extension Array where Element: Equatable {
    /// For each beginning of the array, the length of the longest shorter one that also ends it: where a search goes on
    /// after a mismatch. Linear.
    ///
    /// Source: Knuth, Morris and Pratt 1977 (doi:10.1137/0206024).
    package var borders: [Int] {
        var borders = [Int](repeating: 0, count: count)
        var matched = 0
        for position in indices.dropFirst() {
            while matched > 0, self[position] != self[matched] { matched = borders[matched - 1] }
            if self[position] == self[matched] { matched += 1 }
            borders[position] = matched
        }
        return borders
    }
}
