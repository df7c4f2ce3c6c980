// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// What a sequence of a batch has read: its tokens, and their keys and values in pages that it shares with others.
final class SequenceCache {
    let cache: KVCache
    private let tree: PrefixTree
    /// A text whose context may begin anew has pages of its own, so that what it may still take is known.
    private let isExclusive: Bool
    /// The tokens whose keys and values are in the cache.
    private(set) var tokens: [Int32] = []
    /// How many of them, from the first on, were evaluated with every neuron and head: as those of a prompt are.
    private var denseTokens = 0
    private var pages: [Int] = []
    /// Most pages that it may still take.
    private(set) var reserved: Int

    init(_ cache: KVCache, _ tree: PrefixTree, _ request: Batch.Request, limit: Int) {
        self.cache = cache
        self.tree = tree
        let options = request.state.options
        isExclusive = options.shiftsContext
        // Neither number is beyond the limit, or their sum could be beyond all numbers.
        let most = min(request.prompt.count + min(options.maxTokens, limit), limit)
        reserved = ((isExclusive ? limit : most) + tree.positions - 1) / tree.positions
    }

    /// Takes over what there is of the beginning of a prompt, whose last token has to be evaluated in any case, and puts
    /// aside the pages that the text may need.
    /// - Parameters:
    ///   - match: what there is of all but that token.
    ///   - others: pages that were put aside for others.
    /// - Returns: false if there are too few pages; nothing is changed then.
    func begin(_ prompt: [Int32], _ match: PrefixTree.Match, beside others: Int) -> Bool {
        let full = match.pages.prefix { tree.canUse($0, exclusively: isExclusive) }
        guard others + reserved - full.count <= tree.available - full.count(where: { !tree.isUsed($0) }) else {
            return false
        }
        for page in full {
            tree.use(page, exclusively: isExclusive)
            add(page)
        }
        // The next page is one that cannot be shared, or that the prompt has only a part of.
        let last = full.count < match.pages.count ? (match.pages[full.count], tree.positions) : match.last
        if let last { copy(last.1, from: last.0) }
        tokens = Array(prompt.prefix(full.count * tree.positions + (last?.1 ?? 0)))
        denseTokens = tokens.count
        return true
    }

    /// Makes room for so many tokens more.
    func makeRoom(for count: Int) {
        while pages.count * tree.positions < tokens.count + count {
            // What every sequence may take was put aside when it came.
            add(tree.take(after: pages.last, exclusively: isExclusive)!)
        }
    }

    /// Notes tokens that were evaluated, for which room was made.
    /// - Parameter dense: with every neuron and head.
    func append(_ new: some Collection<Int32>, dense: Bool) {
        if dense, denseTokens == tokens.count {
            var rest = Array(new)[...]
            while !rest.isEmpty {
                let (index, offset) = denseTokens.quotientAndRemainder(dividingBy: tree.positions)
                let part = rest.prefix(tree.positions - offset)
                tree.append(part, to: pages[index])
                denseTokens += part.count
                rest = rest.dropFirst(part.count)
            }
        }
        tokens += new
    }

    /// Forgets all but the first `count` tokens.
    func keep(_ count: Int) {
        let (full, rest) = count.quotientAndRemainder(dividingBy: tree.positions)
        while pages.count > full + (rest > 0 ? 1 : 0) {
            tree.release(pages.removeLast())
            reserved += 1
        }
        if rest > 0 { tree.cut(pages[full], to: rest) }
        tokens.removeLast(tokens.count - count)
        denseTokens = min(denseTokens, count)
    }

    /// Gives its pages back. They keep what was read, for texts that begin alike.
    func end() {
        while let page = pages.popLast() { tree.release(page) }
        reserved = 0
    }

    /// Goes on with a page that begins like another. If there is no page to copy to, nobody uses that one, and it is taken.
    private func copy(_ count: Int, from other: Int) {
        let beginning = tree.beginning(of: other, count)
        guard let page = tree.take(after: pages.last, exclusively: isExclusive, keeping: other) else {
            tree.use(other, exclusively: isExclusive)
            tree.cut(other, to: count)
            return add(other)
        }
        cache.pages.copy(count, from: other, to: page)
        tree.append(beginning, to: page)
        add(page)
    }

    private func add(_ page: Int) {
        cache.setPage(pages.count, to: page)
        pages.append(page)
        reserved -= 1
    }
}
