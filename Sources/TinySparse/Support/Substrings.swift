// SPDX-License-Identifier: Apache-2.0

extension String {
    /// Whether `text` is a part of this one, byte for byte; the standard library's search is not in Embedded Swift.
    /// - Complexity: O(count * `text.count`).
    package func contains(text: String) -> Bool {
        var rest = Substring(self).utf8
        while !rest.starts(with: text.utf8) {
            if rest.popFirst() == nil { return false }
        }
        return true
    }
}
