// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Refuses tensors that share bytes, a sign of an attack or of damage. O(n log n).
/// - Parameter tensors: where each lies in the file.
/// - Throws: `FormatError` naming two of them.
package func requireNoOverlap(_ tensors: [(name: String, range: Range<Int>)], path: String) throws(FormatError) {
    let sorted = tensors.sorted { $0.range.lowerBound < $1.range.lowerBound }
    for (tensor, next) in zip(sorted, sorted.dropFirst()) where tensor.range.upperBound > next.range.lowerBound {
        throw FormatError(
            .malformed, path: path, item: next.name, offset: next.range.lowerBound,
            "shares bytes with \(printable(tensor.name)); the file is damaged, get it again")
    }
}
