// SPDX-License-Identifier: Apache-2.0

/// The variable `loop`. It reads ahead only if it is asked to, because what a loop's condition says may depend on what the
/// loop's body did.
package final class Loop {
    let items: ItemIterator
    /// The item that a loop with a condition makes of an item, or nil if that does not meet it; not there without a
    /// condition, and when the loop is over.
    var select: ((Value) throws(TemplateError) -> Value?)?
    private(set) var index0 = -1
    private(set) var current: Value?
    private(set) var before: Value?
    private var knownCount: Int?
    /// The items read ahead, and how many of them the loop has come to.
    private var ahead: [Value] = []
    private var taken = 0

    /// - Parameter count: how many items there are, if they can be counted without reading them.
    init(_ items: ItemIterator, count: Int?) {
        self.items = items
        knownCount = count
    }

    /// Moves to the next item, if there is one.
    func advance() throws(TemplateError) -> Value? {
        guard let item = try next() else { return nil }
        taken += 1
        index0 += 1
        before = current
        current = item
        return item
    }

    /// The item after the present one.
    func next() throws(TemplateError) -> Value? {
        if taken == ahead.count {
            guard let item = try read() else { return nil }
            (ahead, taken) = ([item], 0)
        }
        return ahead[taken]
    }

    /// How many items there are.
    func count() throws(TemplateError) -> Int {
        if let knownCount { return knownCount }
        while let item = try read() { ahead.append(item) }
        let count = index0 + 1 + ahead.count - taken
        knownCount = count
        return count
    }

    private func read() throws(TemplateError) -> Value? {
        while let item = items.next() {
            guard let select else { return item }
            if let selected = try select(item) { return selected }
        }
        return nil
    }
}
