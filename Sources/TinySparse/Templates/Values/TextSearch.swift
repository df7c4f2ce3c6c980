// SPDX-License-Identifier: Apache-2.0

import TinySupport

extension [Scalar] {
    /// Where `pattern`, which is not empty, begins in this text, without overlaps: the first `limit` places from the left,
    /// ascending, or from the right, descending. Linear in both lengths (Knuth, Morris and Pratt).
    func places(of pattern: [Scalar], limit: Int = .max, fromRight: Bool = false) -> [Int] {
        guard !pattern.isEmpty, pattern.count <= count, limit > 0 else { return [] }
        guard !fromRight else {
            let mirrored: [Int] = reversed().places(of: pattern.reversed(), limit: limit)
            return mirrored.map { count - $0 - pattern.count }
        }
        var places: [Int] = []
        let borders = pattern.borders
        var matched = 0
        for position in indices {
            while matched > 0, self[position] != pattern[matched] { matched = borders[matched - 1] }
            if self[position] == pattern[matched] { matched += 1 }
            guard matched == pattern.count else { continue }
            places.append(position + 1 - matched)
            matched = 0
            if places.count == limit { break }
        }
        return places
    }

    func contains(_ pattern: [Scalar]) -> Bool { pattern.isEmpty || !places(of: pattern, limit: 1).isEmpty }

    /// Where `str.replace` replaces: the places of the pattern; of an empty one, every place between two characters and both
    /// ends.
    func replaced(_ old: [Scalar], by new: [Scalar], limit: Int) -> [Scalar] {
        let places = old.isEmpty ? Array<Int>((0...count).prefix(limit)) : places(of: old, limit: limit)
        var result: [Scalar] = []
        var position = 0
        for place in places {
            result += self[position..<place]
            result += new
            position = place + old.count
        }
        return result + self[position...]
    }

    /// The parts between separators, at most `limit` of which are used.
    func split(by separator: [Scalar], limit: Int, fromRight: Bool) -> [ArraySlice<Scalar>] {
        var places = places(of: separator, limit: limit, fromRight: fromRight)
        if fromRight { places.reverse() }
        var parts: [ArraySlice<Scalar>] = []
        var position = 0
        for place in places {
            parts.append(self[position..<place])
            position = place + separator.count
        }
        return parts + [self[position...]]
    }

    /// The words between white space; after `limit` cuts the rest is one, with the white space at its end.
    func words(limit: Int, fromRight: Bool) -> [ArraySlice<Scalar>] {
        guard !fromRight else {
            let mirrored: [ArraySlice<Scalar>] = reversed().words(limit: limit, fromRight: false)
            return mirrored.reversed().map { self[count - $0.endIndex..<count - $0.startIndex] }
        }
        var words: [ArraySlice<Scalar>] = []
        var rest = self[...].stripped(left: true, right: false) { $0.isSpace }
        while !rest.isEmpty {
            guard words.count < limit, let end = rest.firstIndex(where: { $0.isSpace }) else {
                words.append(rest)
                break
            }
            words.append(rest[..<end])
            rest = rest[end...].stripped(left: true, right: false) { $0.isSpace }
        }
        return words
    }
}
